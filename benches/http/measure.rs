//! Numbers, and how they are shown.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss
    )]
    let index = ((sorted.len() - 1) as f64 * quantile).round() as usize;
    sorted[index]
}

/// The median of the ratios of each round, with the least and the greatest.
pub fn ratios(values: &[f64], to: &[f64]) -> String {
    let ratios: Vec<f64> = values
        .iter()
        .zip(to)
        .map(|(value, to)| value / to)
        .collect();
    spread(&ratios)
}

/// The median, with the least and the greatest.
pub fn spread(values: &[f64]) -> String {
    let [least, middle, most] = [0.0, 0.5, 1.0].map(|at| quantile(values, at));
    format!("{middle:.2} ({least:.2} to {most:.2})")
}

#[expect(clippy::cast_precision_loss)]
pub fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).expect("a machine with fewer cores")
}

/// How many hashes a second one thread makes with the `bcrypt` crate, one after the other.
pub fn raw_hashes_per_second(cost: u32) -> f64 {
    let started = Instant::now();
    let mut hashes = 0.0;
    while started.elapsed() < Duration::from_millis(1500) {
        let hash = bcrypt::hash_with_salt(black_box("b4l0u-b4l0u"), cost, [7; 16]);
        let _ = black_box(hash);
        hashes += 1.0;
    }
    hashes / started.elapsed().as_secs_f64()
}

/// A table in Markdown.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![columns.iter().map(ToString::to_string).collect()],
        }
    }

    pub fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    pub fn print(&self) {
        println!("\n### {}\n", self.title);
        for (number, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if number == 0 {
                println!("|{}", "---|".repeat(row.len()));
            }
        }
    }
}
