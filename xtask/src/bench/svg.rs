//! Words in drawings and pages.

use std::fmt::Write;

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
