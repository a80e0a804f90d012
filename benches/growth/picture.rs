//! Curves as SVG.

use std::error::Error;

use plotters::{
    coord::combinators::{BindKeyPoints, IntoLogRange},
    coord::{Shift, ranged1d::ValueFormatter, types::RangedCoordf64},
    prelude::*,
};

/// Panels side by side over the same axis of growth, and a legend.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) title: &'static str,
    pub(crate) growing: &'static str,
    /// Whether the growing figure spans decades; then so do the panels' figures.
    pub(crate) is_logarithmic: bool,
    /// What the places on the growing axis are called.
    pub(crate) places: Vec<(f64, String)>,
    pub(crate) panels: Vec<Panel>,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// One for each line of the legend; empty if this panel does not have it.
    pub(crate) curves: Vec<Vec<f64>>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) color: RGBColor,
    pub(crate) is_dashed: bool,
}

impl Picture {
    pub(crate) fn draw(&self) -> Result<String, Box<dyn Error>> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            root.fill(&WHITE)?;
            let root = root.titled(self.title, ("sans-serif", 18))?;
            let (charts, legend) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
            let areas = charts.split_evenly((1, self.panels.len()));
            for (panel, area) in self.panels.iter().zip(&areas) {
                self.panel(panel, area)?;
            }
            self.legend(&legend)?;
            root.present()?;
        }
        Ok(svg)
    }

    fn panel(&self, panel: &Panel, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let places: Vec<_> = self.places.iter().map(|(at, _)| *at).collect();
        let (first, last) = (places[0], places[places.len() - 1]);
        let figures = panel.curves.iter().flatten().copied();
        let lowest = figures.clone().fold(f64::INFINITY, f64::min).max(LEAST) / 1.3;
        let highest = figures.fold(LEAST, f64::max);

        let mut builder = ChartBuilder::on(area);
        builder
            .caption(panel.title, ("sans-serif", 14))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(50);
        // The scales are different types, so the rest is written once and called twice.
        if self.is_logarithmic {
            let growth = (first / 1.3..last * 1.3).log_scale();
            let figures = lowest..highest * 1.3;
            let ticks = (-1..6).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(power)));
            let ticks = ticks.filter(|it| figures.contains(it)).collect();
            let chart = builder.build_cartesian_2d(
                growth.with_key_points(places),
                figures.log_scale().with_key_points(ticks),
            )?;
            self.curves(panel, chart)
        } else {
            let growth = RangedCoordf64::from(first - 0.2..last + 0.2);
            let figures = RangedCoordf64::from(0.0..highest * 1.1);
            let chart = builder.build_cartesian_2d(growth, figures)?;
            self.curves(panel, chart)
        }
    }

    fn curves<'a, X, Y>(
        &self,
        panel: &Panel,
        mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    ) -> Result<(), Box<dyn Error>>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        // A logarithmic axis has no place for nothing.
        let least = if self.is_logarithmic { LEAST } else { 0.0 };
        let most_labels = if self.is_logarithmic { 40 } else { 10 };
        chart
            .configure_mesh()
            .max_light_lines(0)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc(self.growing)
            .x_labels(self.places.len())
            .y_labels(most_labels)
            .x_label_formatter(&|at| self.place(*at))
            .y_label_formatter(&|figure| figure_label(*figure, least))
            .label_style(("sans-serif", 12))
            .draw()?;
        for (line, curve) in self.lines.iter().zip(&panel.curves) {
            let points = || {
                let places = self.places.iter().map(|(at, _)| *at);
                places.zip(curve.iter().map(|figure| figure.max(least)))
            };
            let style = line.color.stroke_width(2);
            if line.is_dashed {
                chart.draw_series(DashedLineSeries::new(points(), 6, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points(), style))?;
            }
            let dot = |point| Circle::new(point, 3, line.color.filled());
            chart.draw_series(points().map(dot))?;
        }
        Ok(())
    }

    fn legend(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        for (line, row) in self.lines.iter().zip(0..) {
            let row = 60 + 24 * row;
            let style = line.color.stroke_width(2);
            // A dash is the line's first half left out.
            let gap = if line.is_dashed { 6 } else { 0 };
            area.draw(&PathElement::new([(6, row), (18 - gap, row)], style))?;
            area.draw(&PathElement::new([(18, row), (30, row)], style))?;
            area.draw(&Circle::new((18, row), 3, line.color.filled()))?;
            let black = ("sans-serif", 13).into_font().color(&BLACK);
            area.draw(&Text::new(line.name, (38, row - 6), black))?;
        }
        Ok(())
    }

    fn place(&self, at: f64) -> String {
        let near = |(place, _): &&(f64, String)| (place / at - 1.0).abs() < 1e-6;
        let place = self.places.iter().find(near);
        place.map_or_else(String::new, |(_, name)| name.clone())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn figure_label(figure: f64, least: f64) -> String {
    if least > 0.0 && figure <= least * 1.001 {
        return format!("≤ {least}");
    }
    format!("{}", (figure * 100.0).round() / 100.0)
}

/// Less is drawn here on a logarithmic axis.
const LEAST: f64 = 0.1;

const SIZE: (u32, u32) = (980, 400);
const LEGEND_WIDTH: u32 = 190;
