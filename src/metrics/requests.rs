//! How long requests took, by route, method and status, and what came of checks of apps.

use std::time::Duration;

use super::{AppCheck, Counters, Gauge, Histogram};

/// Stands for every method and every status that is none of the following (OpenTelemetry's name for
/// methods).
const OTHER: &str = "_OTHER";

/// The methods that some route has.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", OTHER];

/// The statuses of the answers.
const STATUSES: [&str; 15] = [
    "200", "302", "303", "400", "401", "403", "404", "405", "408", "413", "415", "429", "500",
    "503", OTHER,
];

/// Stands for the files of the pages, whose paths change with what is in them.
const FILE: &str = "file";

/// Stands for every path that there is not, as in the log.
const NO_ROUTE: &str = "none";

/// How long requests took, how many are being answered, and what came of checks of apps.
///
/// The numbers are made at the start, for each route, method and status.
#[derive(Debug)]
pub struct RequestMetrics {
    routes: Vec<&'static str>,
    durations: Vec<Histogram>,
    active: Gauge,
    app_checks: Counters<AppCheck>,
}

/// By what requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The route, `file`, or `none`.
    pub route: &'static str,
    /// The method, or `_OTHER`.
    pub method: &'static str,
    /// The status of the answer, or `_OTHER`.
    pub status: &'static str,
}

impl RequestMetrics {
    /// For a service with these routes, and files.
    pub fn new(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let routes: Vec<_> = routes.into_iter().chain([FILE, NO_ROUTE]).collect();
        let count = routes.len() * METHODS.len() * STATUSES.len();
        Self {
            routes,
            durations: (0..count).map(|_| Histogram::default()).collect(),
            active: Gauge::default(),
            app_checks: Counters::new(AppCheck::ALL),
        }
    }

    /// Notes that a request has begun.
    pub fn begin(&self) -> ActiveRequest<'_> {
        self.active.up();
        ActiveRequest(self)
    }

    /// How many requests are being answered.
    pub fn active(&self) -> u64 {
        self.active.get()
    }

    /// How many times proxies asked whether a request for an app may pass, by what they were told.
    pub fn app_checks(&self) -> &Counters<AppCheck> {
        &self.app_checks
    }

    /// How long the requests of each kind took; kinds of which there was none may be among them.
    pub fn durations(&self) -> impl Iterator<Item = (Request, &Histogram)> {
        let routes = self.routes.iter();
        let requests = routes.flat_map(|route| {
            METHODS.into_iter().flat_map(move |method| {
                STATUSES.into_iter().map(move |status| Request {
                    route,
                    method,
                    status,
                })
            })
        });
        requests.zip(&self.durations)
    }

    fn duration(&self, route: Option<&str>, method: &str, status: &str) -> &Histogram {
        let place = |known: &[&str], one: &str, other: &str| {
            let find = |one| known.iter().position(|known| *known == one);
            find(one).or_else(|| find(other)).unwrap_or_default()
        };
        let route = place(&self.routes, route.unwrap_or(NO_ROUTE), FILE);
        let method = place(&METHODS, method, OTHER);
        let status = place(&STATUSES, status, OTHER);
        &self.durations[(route * METHODS.len() + method) * STATUSES.len() + status]
    }
}

/// A request that is being answered. One whose client goes is dropped before it ends.
#[derive(Debug)]
#[must_use = "say how the request ended"]
pub struct ActiveRequest<'a>(&'a RequestMetrics);

impl ActiveRequest<'_> {
    /// Notes how the request was answered, and how long that took. The route is `None` for a path that
    /// there is not; one that was not given at the start is a file.
    pub fn end(self, route: Option<&str>, method: &str, status: &str, took: Duration) {
        self.0.duration(route, method, status).observe(took);
    }
}

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.0.active.down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    /// The kinds of which there was a request, as text.
    fn kinds(metrics: &RequestMetrics) -> Vec<String> {
        let used = metrics
            .durations()
            .filter(|(_, duration)| !duration.is_empty());
        used.map(|(request, _)| format!("{} {} {}", request.route, request.method, request.status))
            .collect()
    }

    #[test]
    fn what_is_not_known_counts_under_fixed_labels() {
        let metrics = RequestMetrics::new(["/", "/users"]);
        for (route, method, status) in [
            (Some("/"), "GET", "200"),
            (Some("/users"), "BREW", "418"),
            (Some("/style.css"), "PUT", "405"),
            (None, "GET", "404"),
        ] {
            metrics.begin().end(route, method, status, TOOK);
        }
        assert_eq!(
            kinds(&metrics),
            [
                "/ GET 200",
                "/users _OTHER _OTHER",
                "file PUT 405",
                "none GET 404"
            ]
        );
    }

    #[test]
    fn a_request_is_active_until_it_is_answered_or_dropped() {
        let metrics = RequestMetrics::new(["/"]);
        let (answered, dropped) = (metrics.begin(), metrics.begin());
        assert_eq!(metrics.active(), 2);
        answered.end(Some("/"), "GET", "200", TOOK);
        drop(dropped);
        assert_eq!(metrics.active(), 0);
        assert_eq!(kinds(&metrics), ["/ GET 200"]);
    }
}
