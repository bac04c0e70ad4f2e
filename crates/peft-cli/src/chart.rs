//! [`LineChart`]: lines over a plane, as SVG.

use plotters::prelude::*;

use crate::error::CliError;

/// Of a picture, in pixels.
const SIZE: (u32, u32) = (760, 440);
/// Colours that those who see fewer tell apart: Okabe and Ito 2008.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(153, 153, 51),
];
/// Points of a line at most: those of a longer one are means.
const POINTS: usize = 600;

/// A line and what it is.
pub(crate) struct Line {
    pub(crate) name: String,
    /// What is not finite is left out.
    pub(crate) points: Vec<(f64, f64)>,
    /// Drawn with a mark at each point, for lines of few.
    pub(crate) marked: bool,
}

/// Lines of one plane.
pub(crate) struct LineChart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    /// Whether the first coordinate goes by its logarithm; it is above zero then.
    pub(crate) log_x: bool,
    pub(crate) lines: Vec<Line>,
}

impl LineChart<'_> {
    /// The picture. Lines without a point are left out.
    pub(crate) fn svg(&self) -> Result<String, CliError> {
        let mut text = String::new();
        match self.draw(SVGBackend::with_string(&mut text, SIZE)) {
            Ok(()) => Ok(text),
            Err(error) => Err(CliError::Usage(format!("the picture: {error}"))),
        }
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let at = |x: f64| if self.log_x { x.log2() } else { x };
        let lines: Vec<(&Line, Vec<(f64, f64)>)> = self
            .lines
            .iter()
            .map(|line| {
                let points = line.points.iter().map(|(x, y)| (at(*x), *y));
                let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
                (line, thinned(points.filter(finite).collect()))
            })
            .filter(|(_, points)| !points.is_empty())
            .collect();
        let range = |of: fn(&(f64, f64)) -> f64, margin: f64| {
            let values = lines.iter().flat_map(|(_, points)| points.iter().map(of));
            let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
                (a.min(x), b.max(x))
            });
            match most - least {
                // Of one value, or of none.
                wide if !wide.is_finite() => 0.0..1.0,
                0.0 => least - 0.5..least + 0.5,
                wide => least - margin * wide..most + margin * wide,
            }
        };
        let area = backend.into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 17))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(range(|point| point.0, 0.0), range(|point| point.1, 0.04))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc(self.x)
            .x_labels(9)
            .x_label_formatter(&|x| match self.log_x {
                true => format!("{:.0}", x.exp2()),
                false => short(*x),
            })
            .y_label_formatter(&|y| short(*y))
            .draw()?;
        for (i, (line, points)) in lines.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            chart
                .draw_series(LineSeries::new(
                    points.iter().copied(),
                    colour.stroke_width(2),
                ))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
                });
            if line.marked {
                let marks = points
                    .iter()
                    .map(|point| Circle::new(*point, 3, colour.filled()));
                chart.draw_series(marks)?;
            }
        }
        if !lines.is_empty() {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.2))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }
}

/// A number as an axis shows it.
fn short(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e5).contains(&size) => {
            let text = format!("{x:.4}");
            text.trim_end_matches('0').trim_end_matches('.').into()
        }
        _ => format!("{x:.1e}"),
    }
}

/// At most [`POINTS`] of them: the means of runs of equal length.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(POINTS).max(1);
    let mean = |run: &[(f64, f64)]| {
        let n = run.len() as f64;
        let (x, y) = run.iter().fold((0.0, 0.0), |sum, point| {
            (sum.0 + point.0 / n, sum.1 + point.1 / n)
        });
        (x, y)
    };
    points.chunks(run).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let line = Line {
            name: "a < b".into(),
            points,
            marked: false,
        };
        let chart = LineChart {
            title: "loss",
            x: "step",
            log_x: false,
            lines: vec![line],
        };
        chart.svg().expect("it is drawn")
    }

    #[test]
    fn any_points_are_drawn() {
        let many = (0..5000).map(|i| (f64::from(i), f64::from(i).sin()));
        let drawn = chart(many.collect());
        assert!(drawn.contains("<polyline") && drawn.len() < 60_000);
        assert!(drawn.contains("a &lt; b"), "{drawn}");
        let one = chart(vec![(1.0, 2.0)]);
        let none = chart(vec![(f64::NAN, 2.0), (1.0, f64::INFINITY)]);
        for drawn in [one, none, chart(Vec::new())] {
            assert!(
                drawn.starts_with("<svg") && !drawn.contains("NaN"),
                "{drawn}"
            );
        }
    }

    #[test]
    fn numbers_are_short() {
        let said = [0.0, 0.25, 3.0, 1234.5, 2e-4, 1e9].map(short);
        assert_eq!(said, ["0", "0.25", "3", "1234.5", "2.0e-4", "1.0e9"]);
    }
}
