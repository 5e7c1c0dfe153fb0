//! Families under construction: only what stands in the table can be put on it. pure

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::super::table::{Family, Kind};

/// Families with their series, by name.
#[derive(Default)]
pub(super) struct Sheet(BTreeMap<&'static str, (&'static Family, Vec<Metric>)>);

impl Sheet {
    /// Adds a series. Values pair with the family's labels in order.
    pub(super) fn put(&mut self, family: &'static Family, values: &[&str], value: f64) {
        debug_assert_eq!(family.labels.len(), values.len(), "{} has other labels", family.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut labels: Vec<_> = family.labels.iter().zip(values).map(pair).collect();
        // The order in which the crate writes the labels of its own metrics.
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        let mut metric = Metric::from_label(labels);
        if family.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(metric);
    }

    /// Adds a moment; one that does not exist leaves no series, since 0 would read as 1970.
    pub(super) fn time(&mut self, family: &'static Family, values: &[&str], at: Option<Timestamp>) {
        if let Some(at) = at {
            self.put(family, values, super::seconds(at));
        }
    }

    /// What was put.
    pub(super) fn families(self) -> Vec<MetricFamily> {
        let build = |(family, metrics): (&Family, Vec<Metric>)| {
            let mut out = MetricFamily::default();
            out.set_name(family.name.to_owned());
            out.set_help(family.help());
            out.set_field_type(if family.kind == Kind::Counter { MetricType::COUNTER } else { MetricType::GAUGE });
            out.set_metric(metrics);
            out
        };
        self.0.into_values().map(build).collect()
    }
}
