//! Each barrier and each wake-up is needed: without it, a model fails.

use std::process::Command;

use models::sync::Site;

/// Which model notices.
fn witness(site: Site) -> &'static str {
    match site {
        Site::EnterFence | Site::OpenFence => "a_vcpu_that_enters_and_leaves",
        Site::LeaveFence | Site::LeaveUnpark => "a_vcpu_that_enters_and_leaves",
        Site::AwaitFence => "a_vcpu_that_enters_and_leaves",
        Site::CloseFence | Site::CloseUnpark => "a_vcpu_that_enters_and_leaves",
        Site::WaitFence | Site::WaitUnpark => "a_vcpu_that_polls",
        Site::QueueFence => "two_owners",
        Site::OpenKick => "a_vcpu_that_has_to_be_kicked",
        Site::PostUnpark | Site::ReplyUnpark => "work_for_a_vcpu_that_sleeps",
        Site::PostKick => "work_for_a_vcpu_that_executes",
        Site::WatchFence | Site::WriteFence => "code::code_that_is_written_while_it_is_translated",
        Site::TellFence => "code::code_that_another_has_translated",
        Site::ArriveFence | Site::AskFence => "code::code_whose_writer_comes_back",
        Site::StopFence => "code::code_whose_writer_stops_for_another",
        Site::SerializeFence => "code::stores_before_a_serialising_instruction",
    }
}

#[test]
fn each_is_missed() {
    let models = std::env::current_exe().expect("this program's path");
    let missed = |site: Site| {
        let output = Command::new(&models)
            .args(["--exact", witness(site)])
            .env(super::common::OMIT, format!("{site:?}"))
            .output()
            .expect("this program starts again");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("running 1 test"), "{said}");
        println!("{site:?}: {}", if output.status.success() { "NOT MISSED" } else { "missed" });
        !output.status.success()
    };
    let unnoticed: Vec<Site> = Site::ALL.into_iter().filter(|&site| !missed(site)).collect();
    assert!(unnoticed.is_empty(), "no model fails without {unnoticed:?}");
}
