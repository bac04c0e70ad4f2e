//! Every page is in the book, and what pages link to is there: files, pages and their headings.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page::{names, root, text};

/// A page's lines, without those of its blocks of code.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What the headings of a page are called in links, as mdBook and GitHub make it.
fn anchors(text: &str) -> Vec<String> {
    let headings = lines(text).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
        let kept = heading.chars().filter(kept);
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// What a page links to.
fn links(text: &str) -> Vec<String> {
    let text: String = lines(text).map(|line| format!("{line}\n")).collect();
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.collect()
}

/// What is wrong with a link of a page in this directory.
fn fault(dir: &Path, page: &str, link: &str) -> Option<&'static str> {
    if link.contains("://") {
        return None;
    }
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let target = match path {
        "" => dir.join(page),
        path => dir.join(path),
    };
    // mdBook writes each link to `.md` as one to a page of the book.
    let is_page = |path: &str| path.ends_with(".md");
    if dir.ends_with("docs") && path.starts_with("..") && is_page(path) {
        return Some("is in no book: link to its directory");
    }
    if !target.exists() {
        return Some("is not there");
    }
    let anchor = anchor?;
    let of = fs::read_to_string(target).expect("a page");
    let is_there = anchors(&of).iter().any(|found| found == anchor);
    (!is_there).then_some("has no such heading")
}

#[test]
fn the_book_has_every_page_once() {
    let mut there: Vec<String> = fs::read_dir(root().join("docs"))
        .expect("pages")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    there.push("README.md".into());
    there.sort();
    let mut listed = names();
    listed.sort();
    assert_eq!(listed, there);
}

#[test]
fn every_link_leads_somewhere() {
    let (mut seen, mut wrong) = (0, Vec::new());
    let mut pages = names();
    pages.push("SUMMARY.md".into());
    for page in pages {
        let dir: PathBuf = match page.as_str() {
            "README.md" => root(),
            _ => root().join("docs"),
        };
        for link in links(&text(&page)) {
            seen += 1;
            let fault = fault(&dir, &page, &link);
            wrong.extend(fault.map(|fault| format!("{page}: {link} {fault}")));
        }
    }
    assert!(seen > 100, "{seen} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let dir = root().join("docs");
    for (link, part) in [
        ("start.md", None),
        ("start.md#train", None),
        ("#the-rows", None),
        ("https://example.org/#x", None),
        ("../tests/goldens", None),
        ("begin.md", Some("not there")),
        ("start.md#trains", Some("no such heading")),
        ("../README.md", Some("no book")),
    ] {
        let found = fault(&dir, "start.md", link);
        assert_eq!(found.is_some(), part.is_some(), "{link}");
        assert!(found.unwrap_or_default().contains(part.unwrap_or_default()));
    }
}
