//! A report for people.

use std::fmt::{Display, Formatter, Result};

use super::{
    contents::Contents,
    finding::Finding,
    item::{Item, Outcome},
    report::Report,
    severity::Severity,
};
use crate::problem::reason;

/// With colours.
pub(super) struct Painted<'a>(pub(super) &'a Report);

impl Display for Painted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        print(self.0, true, f)
    }
}

pub(super) fn print(report: &Report, has_colour: bool, f: &mut Formatter<'_>) -> Result {
    let mut printer = Printer { has_colour, f };
    let status = report.status();
    printer.paint(status_colour(Some(status.as_u16())), format_args!("{} {}", status.as_str(), reason(status)))?;
    match report.contents() {
        Some(contents) => {
            write!(printer.f, ": ")?;
            printer.contents(contents, 1)?;
        }
        None => writeln!(printer.f, ": no results")?,
    }
    if !report.findings().is_empty() {
        writeln!(printer.f)?;
    }
    for finding in report.findings() {
        printer.finding(finding)?;
    }
    if report.left_out() > 0 {
        writeln!(printer.f, "and {} more of these", report.left_out())?;
    }
    Ok(())
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";

fn status_colour(status: Option<u16>) -> &'static str {
    match status {
        Some(200..=399) => GREEN,
        Some(100..=199) | None => YELLOW,
        Some(_) => RED,
    }
}

struct Printer<'a, 'b> {
    has_colour: bool,
    f: &'a mut Formatter<'b>,
}

impl Printer<'_, '_> {
    fn paint(&mut self, colour: &str, text: impl Display) -> Result {
        match self.has_colour {
            true => write!(self.f, "\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.fmt(self.f),
        }
    }

    fn contents(&mut self, contents: &Contents, level: usize) -> Result {
        let Contents { shape, total, succeeded, failed, .. } = contents;
        let results = if *total == 1 { "result" } else { "results" };
        write!(self.f, "{shape}, {total} {results}: {succeeded} succeeded, {failed} failed")?;
        match contents.unknown() {
            0 => writeln!(self.f)?,
            unknown => writeln!(self.f, ", {unknown} unknown")?,
        }
        contents.items.iter().try_for_each(|item| self.item(item, level))?;
        match total - contents.items.len() {
            0 => Ok(()),
            more => writeln!(self.f, "{:1$}and {more} more", "", 2 * level),
        }
    }

    fn item(&mut self, item: &Item, level: usize) -> Result {
        write!(self.f, "{:1$}#{2} ", "", 2 * level, item.place)?;
        match item.status {
            Some(status) => self.paint(status_colour(Some(status)), status)?,
            None if item.properties.is_empty() => self.paint(YELLOW, "???")?,
            None => self.paint(if item.outcome() == Outcome::Failed { RED } else { GREEN }, "---")?,
        }
        if let Some(index) = item.index.filter(|index| *index != item.place) {
            write!(self.f, " of operation {index}")?;
        }
        for name in item.id.iter().chain(&item.href) {
            write!(self.f, " {name}")?;
        }
        if let Some(failure) = &item.failure {
            write!(self.f, ": {failure}")?;
        }
        match &item.inner {
            Some(inner) => {
                write!(self.f, ": ")?;
                self.contents(inner, level + 1)?;
            }
            None => writeln!(self.f)?,
        }
        for those in &item.properties {
            write!(self.f, "{:1$}", "", 2 * level + 3)?;
            match those.status {
                Some(status) => self.paint(status_colour(Some(status)), status)?,
                None => self.paint(YELLOW, "???")?,
            }
            let more = if those.count > those.names.len() { " …" } else { "" };
            writeln!(self.f, " {}{more}", those.names.join(" "))?;
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding) -> Result {
        let code = finding.code;
        let colour = match code.severity() {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
            Severity::Info => BLUE,
        };
        self.paint(colour, format_args!("{} {code}", code.severity()))?;
        for (depth, place) in finding.at.iter().enumerate() {
            write!(self.f, "{}#{place}", if depth == 0 { " " } else { "/" })?;
        }
        writeln!(self.f, ": {}", finding.detail)?;
        writeln!(self.f, "  harms {}: {} [{}]", code.harms(), code.why(), code.section())
    }
}
