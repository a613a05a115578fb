//! A chart of two logarithmic axes, as an SVG that can be read on a light and on a dark page.

use std::fmt::Write;

/// One line, with the name that stands at its end.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
/// What is left of it for the lines.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 320.0;

const STYLE: &str = "\
text { font: 14px system-ui, sans-serif; fill: #444c56 } \
.grid { stroke: #8c959f; stroke-opacity: .35 } \
polyline { fill: none; stroke-width: 2.5 } \
.lines polyline { stroke: #0969da } .lines circle, .lines text { fill: #0969da } \
.whole polyline { stroke: #bc4c00 } .whole circle, .whole text { fill: #bc4c00 } \
@media (prefers-color-scheme: dark) { \
text { fill: #adbac7 } \
.lines polyline { stroke: #58a6ff } .lines circle, .lines text { fill: #58a6ff } \
.whole polyline { stroke: #f0883e } .whole circle, .whole text { fill: #f0883e } }";

/// `y_name` stands above, `x_name` below. Both axes begin and end at a power of ten.
pub(crate) fn log_log(y_name: &str, x_name: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Axis::around(points().map(|point| point.0), LEFT, RIGHT);
    let y = Axis::around(points().map(|point| point.1), BOTTOM, TOP);
    let mut svg = String::new();
    let mut write = |part: std::fmt::Arguments<'_>| svg.write_fmt(part).expect("a String takes all that is written");
    write(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{y_name}, by {x_name}</title>\n<style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"{}\" text-anchor=\"start\">{y_name}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text>\n",
        TOP - 24.0,
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 48.0
    ));
    for power in x.powers() {
        let (at, label) = (x.place(power), thousands(power as u64));
        write(format_args!(
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
            BOTTOM + 22.0
        ));
    }
    for power in y.powers() {
        let (at, label) = (y.place(power), thousands(power as u64));
        write(format_args!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            LEFT - 10.0,
            at + 5.0
        ));
    }
    for Line { name, class, points } in lines {
        write(format_args!("<g class=\"{class}\"><polyline points=\""));
        let places: Vec<_> = points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
        places.iter().for_each(|(x, y)| write(format_args!("{x:.1},{y:.1} ")));
        write(format_args!("\"/>"));
        places.iter().for_each(|(x, y)| write(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>")));
        if let Some((x, y)) = places.last() {
            write(format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>", x + 12.0, y + 5.0));
        }
        write(format_args!("</g>\n"));
    }
    svg + "</svg>\n"
}

/// From one power of ten to another one.
struct Axis {
    first: i32,
    last: i32,
    start: f64,
    end: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min).log10().floor() as i32;
        let most = values.fold(0.0, f64::max).log10().ceil() as i32;
        Self { first: least, last: most.max(least + 1), start, end }
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|power| 10f64.powi(power))
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.start + part * (self.end - self.start)
    }
}

/// 1,000 rather than 1000.
pub(crate) fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}
