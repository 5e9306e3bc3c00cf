//! What the README says about watching the service.

use std::collections::BTreeSet;
use std::fs;

use super::metrics::promtool;
use super::*;

/// The part of the README that is about it.
fn section() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n### Watch it\n").expect("a section");
    section.split_once("\n## ").unwrap().0
}

/// The block of YAML that begins with this word.
fn block(first: &str) -> &'static str {
    let start = format!("```yaml\n{first}");
    let at = section().find(&start).expect(first) + "```yaml\n".len();
    let block = &section()[at..];
    block.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_table_of_metrics_has_each_with_its_labels_and_no_other() {
    let database = Database::sqlite();
    let server = start_with(&database, &[]);
    server.get("/").send().await;
    let counted = |series: &Series| {
        series.contains_key("bienvenue_users") && series.contains_key("bienvenue_outbox_pending")
    };
    let series = metrics_like(&server.operations(), counted).await;
    let mut told = BTreeSet::new();
    for name in series.keys() {
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let suffixes = ["_bucket", "_sum", "_count"];
        let histogram = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
        let labels = labels
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0));
        let labels = labels.filter(|label| *label != "le");
        let name = histogram.unwrap_or(name);
        told.extend(labels.map(|label| format!("{name} {label}")));
        told.insert(name.to_owned());
    }

    let mut in_readme = BTreeSet::new();
    for row in section().lines() {
        let Some(row) = row
            .strip_prefix("| `")
            .filter(|row| !row.starts_with(['/', '-']))
        else {
            continue;
        };
        let (name, _) = row.split_once('`').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').map(str::trim);
        let labels = labels.filter(|label| !label.is_empty());
        in_readme.extend(labels.map(|label| format!("{name} {label}")));
        in_readme.insert(name.to_owned());
    }
    assert_eq!(in_readme, told);
}

#[test]
fn prometheus_understands_the_configuration_and_the_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("bienvenue.rules.yml");
    fs::write(&rules, block("groups:")).unwrap();
    let configuration = folder.path().join("prometheus.yml");
    fs::write(&configuration, block("scrape_configs:")).unwrap();
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    promtool(&["check", "config", configuration.to_str().unwrap()], "");
}

#[tokio::test]
async fn each_alert_is_about_metrics_that_there_are() {
    let database = Database::sqlite();
    let server = start_with(&database, &[]);
    let counted = |series: &Series| series.contains_key("bienvenue_outbox_oldest_seconds");
    let series = metrics_like(&server.operations(), counted).await;
    let rules = block("groups:");
    let mut alerts = 0;
    for expression in rules.lines().filter(|line| line.contains("expr:")) {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = expression.split(|letter| !is_letter(letter));
        let names: Vec<_> = words
            .filter(|word| word.starts_with("bienvenue_"))
            .collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let is_there = |series: &String| series.split('{').next() == Some(name);
            assert!(series.keys().any(is_there), "{name}");
        }
        alerts += 1;
    }
    assert_eq!(alerts, 3);
}
