//! The metrics as text, in the format of Prometheus.
//!
//! Names of HTTP metrics are OpenTelemetry's, the others follow Prometheus: base units, `_total` for what
//! only grows, and the prefix `bienvenue`, or `process` for what every program has.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
    prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use super::samples::Samples;
use crate::auth::Auth;
use crate::clock::UnixTime;
use crate::metrics::{ConnectionMetrics, Histogram, RequestMetrics};

/// The type of the text, with the version of the format.
pub use prometheus_text::CONTENT_TYPE;

/// Where the numbers are read.
pub struct Sources {
    pub auth: Auth,
    pub requests: Arc<RequestMetrics>,
    pub connections: Arc<ConnectionMetrics>,
    pub samples: Arc<Samples>,
    pub started_at: UnixTime,
}

/// All metrics.
pub struct Exposition(Registry);

impl Exposition {
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// What they are now.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let written = prometheus_text::encode(&mut text, &self.0);
        debug_assert!(
            written.is_ok(),
            "a `String` takes all that is written to it"
        );
        text
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.tell_requests(&mut families)?;
        self.tell_events(&mut families)?;
        self.tell_passwords(&mut families)?;
        self.tell_mails(&mut families)?;
        self.tell_database(&mut families)?;
        self.tell_process(&mut families)
    }
}

impl Sources {
    fn tell_requests(&self, families: &mut Families<'_>) -> fmt::Result {
        // Of most routes, methods and statuses there is never a request together.
        let durations = self.requests.durations();
        let durations = durations.filter(|(_, duration)| !duration.is_empty());
        families.histograms(
            "http_server_request_duration",
            "Time from the head of a request to its answer",
            durations.map(|(request, duration)| {
                let labels = [
                    ("http_request_method", request.method),
                    ("http_route", request.route),
                    ("http_response_status_code", request.status),
                ];
                (labels, duration)
            }),
        )?;
        families.gauge(
            "http_server_active_requests",
            None,
            "Requests that are being answered",
            Some(self.requests.active()),
        )?;
        families.gauge(
            "bienvenue_connections_open",
            None,
            "Connections to the public listener",
            Some(self.connections.open.get()),
        )?;
        families.counters(
            "bienvenue_connections_refused",
            None,
            "Connections that were closed while they waited for their client, because there were too \
             many or unfinished requests held too much memory",
            [(NOTHING, self.connections.refused.get())],
        )?;
        families.counters(
            "bienvenue_forward_auth",
            None,
            "Times that a proxy asked whether a request for an app may pass",
            self.requests
                .app_checks()
                .iter()
                .map(|(check, count)| ([("outcome", check.name())], count)),
        )
    }

    fn tell_events(&self, families: &mut Families<'_>) -> fmt::Result {
        families.counters(
            "bienvenue_events",
            None,
            "Lines of the audit log, and the limit of those that tell of one",
            self.auth.event_counts().map(|(event, limit, count)| {
                let limit = limit.map(|limit| ("limit", limit));
                let labels: Vec<_> = [("event", event)].into_iter().chain(limit).collect();
                (labels, count)
            }),
        )?;
        let accounts = self.samples.accounts();
        families.gauge(
            "bienvenue_users",
            None,
            "Users, counted every five minutes",
            accounts.map(|accounts| accounts.users),
        )?;
        families.gauge(
            "bienvenue_sessions",
            None,
            "Sessions, counted every five minutes, with those that have ended and are not deleted yet",
            accounts.map(|accounts| accounts.sessions),
        )
    }

    fn tell_passwords(&self, families: &mut Families<'_>) -> fmt::Result {
        let hashes = self.auth.hash_metrics();
        families.histograms(
            "bienvenue_password_hash_duration",
            "Time to check or to hash a password, with the wait for its turn",
            [
                ([("purpose", "verify")], &hashes.verify),
                ([("purpose", "hash")], &hashes.hash),
            ],
        )?;
        families.gauge(
            "bienvenue_password_queue_length",
            None,
            "Passwords that wait to be hashed",
            Some(self.auth.waiting_passwords()),
        )?;
        families.counters(
            "bienvenue_password_refusals",
            None,
            "Requests that were refused because too many passwords waited",
            [(NOTHING, hashes.refusals.get())],
        )
    }

    fn tell_mails(&self, families: &mut Families<'_>) -> fmt::Result {
        let waiting = self.samples.mails();
        families.gauge(
            "bienvenue_outbox_pending",
            None,
            "Mails that wait to be sent, counted every 15 seconds",
            waiting.map(|waiting| waiting.count),
        )?;
        families.gauge(
            "bienvenue_outbox_oldest",
            Some(&Unit::Seconds),
            "Time since the oldest mail that waits was asked for",
            waiting.map(|waiting| waiting.age_of_oldest.as_secs()),
        )?;
        families.counters(
            "bienvenue_mails",
            None,
            "Tries to send a mail to a user",
            self.auth
                .mail_counts()
                .iter()
                .map(|((kind, outcome), count)| {
                    let labels = [("kind", kind), ("outcome", outcome)];
                    (labels, count)
                }),
        )
    }

    fn tell_database(&self, families: &mut Families<'_>) -> fmt::Result {
        families.counters(
            "bienvenue_database_errors",
            None,
            "Failures of the database; one that meets many requests at once counts once",
            self.auth
                .database_errors()
                .iter()
                .map(|(kind, count)| ([("kind", kind)], count)),
        )
    }

    fn tell_process(&self, families: &mut Families<'_>) -> fmt::Result {
        families.info(
            "bienvenue_build",
            "The program",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        families.gauge(
            "process_start_time",
            Some(&Unit::Seconds),
            "When the process was started, in Unix time",
            Some(self.started_at.0),
        )?;
        let Some(process) = Process::now() else {
            return Ok(());
        };
        families.counters(
            "process_cpu",
            Some(&Unit::Seconds),
            "Time of cores that was used",
            [(NOTHING, process.cpu_seconds)],
        )?;
        families.gauge(
            "process_resident_memory",
            Some(&Unit::Bytes),
            "Memory that is in RAM",
            Some(process.resident_bytes),
        )?;
        families.gauge(
            "process_open_fds",
            None,
            "Files and sockets that are open",
            Some(process.open_files),
        )
    }
}

/// The labels of a metric that has none.
const NOTHING: [(&str, &str); 0] = [];

/// Writes metrics, each with its help, its type and all its series.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// The suffix `_total` is added.
    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in series {
            let mut counter = family.encode_family(&labels)?;
            counter.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// Has no series without a value.
    fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        value: Option<V>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        value.map_or(Ok(()), |value| family.encode_gauge(&value))
    }

    /// In seconds.
    fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), kind)?;
        for (labels, histogram) in series {
            let buckets = histogram.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = histogram.sum().as_secs_f64();
            let mut encoder = family.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// The suffix `_info` is added.
    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        family.encode_info(labels)
    }
}
