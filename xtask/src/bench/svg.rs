//! What drawings and pages have in common: how a drawing begins, and words.

use std::fmt::Write;

/// A white drawing of this size without a style sheet, as far as what is on it; `</svg>` ends it.
pub fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' \
         font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n"
    )
}

/// Words at a place, in a drawing without a style sheet.
pub fn label(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, words: &str) {
    text(svg, x, y, &format!("text-anchor='{anchor}' font-size='{size}'"), words);
}

/// Words at a place; `attributes` say how they look.
pub fn text(svg: &mut String, x: f64, y: f64, attributes: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(svg, "<text x='{x:.1}' y='{y:.1}' {attributes}>{words}</text>");
}

/// Text as HTML and SVG want it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_words_is_taken_for_markup() {
        let mut svg = String::new();
        text(&mut svg, 1.0, 2.0, "class='a'", "<b> & 'c'");
        assert_eq!(svg, "<text x='1.0' y='2.0' class='a'>&lt;b&gt; &amp; &#39;c&#39;</text>\n");
    }
}
