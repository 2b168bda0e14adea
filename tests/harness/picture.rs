//! Screens of terminals as a picture, in SVG.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

const CHARACTER: f64 = 8.4;
const LINE: f64 = 18.0;
const MARGIN: f64 = 12.0;
const TITLE: f64 = 26.0;

/// The sixteen colours of terminals.
const COLORS: [&str; 16] = [
    "#1d1f21", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
    "#5c6370", "#ff7b86", "#b5e08f", "#f5d08a", "#7fc4ff", "#d98ff0", "#6fd0dc", "#ffffff",
];
const FOREGROUND: &str = "#d7dae0";
const BACKGROUND: &str = "#22252b";

/// Draws screens one below the other: for each its title, and as many of its rows as are asked for, from
/// the first that is not empty.
pub fn draw(screens: &[(&str, Screen, u16)]) -> String {
    let columns = screens.iter().map(|(_, screen, _)| screen.size().1.get()).max().unwrap();
    let width = f64::from(columns) * CHARACTER + 2.0 * MARGIN;
    let pane = |rows: u16| TITLE + f64::from(rows) * LINE + 2.0 * MARGIN;
    let height: f64 = screens.iter().map(|(_, _, rows)| pane(*rows) + MARGIN).sum::<f64>() - MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"ui-monospace, Menlo, Consolas, \
         'DejaVu Sans Mono', monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    let mut top = 0.0;
    for (title, screen, rows) in screens {
        let height = pane(*rows);
        let middle = width / 2.0;
        let _ = write!(
            svg,
            "<rect y=\"{top}\" width=\"{width:.0}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#8b919c\">{}</text>\n",
            top + 18.0,
            escaped(title),
        );
        let columns = screen.size().1.get();
        let empty = screen.rows(0, columns).take_while(|row| row.trim().is_empty()).count();
        for row in 0..*rows {
            let baseline = top + TITLE + MARGIN + f64::from(row) * LINE + 13.0;
            draw_row(&mut svg, screen, row + empty as u16, baseline);
        }
        top += height + MARGIN;
    }
    svg + "</svg>\n"
}

/// Draws a row, a piece of the same look at a time.
fn draw_row(svg: &mut String, screen: &Screen, row: u16, baseline: f64) {
    let columns = screen.size().1.get();
    let cells: Vec<_> = (0..columns).filter_map(|column| screen.cell(row, column)).collect();
    let mut column = 0;
    while column < cells.len() {
        let look = look(cells[column]);
        let same = |cell: &&&Cell| self::look(cell) == look;
        let length = cells[column..].iter().take_while(same).count();
        let text: String = cells[column..column + length]
            .iter()
            .filter(|cell| !cell.is_wide_continuation())
            .map(|cell| if cell.has_contents() { cell.contents() } else { " " })
            .collect();
        draw_piece(svg, &text, look, column, length, baseline);
        column += length;
    }
}

/// What cells can have in common: foreground, inverse, bold.
type Look = (Color, bool, bool);

fn look(cell: &Cell) -> Look {
    (cell.fgcolor(), cell.inverse(), cell.bold())
}

fn draw_piece(
    svg: &mut String,
    text: &str,
    look: Look,
    column: usize,
    length: usize,
    baseline: f64,
) {
    let (color, inverse, bold) = look;
    if text.trim().is_empty() && !inverse {
        return;
    }
    let mut fill = match color {
        Color::Idx(index) => COLORS[usize::from(index) % 16],
        _ => FOREGROUND,
    };
    let x = MARGIN + column as f64 * CHARACTER;
    if inverse {
        let (y, width) = (baseline - 13.0, length as f64 * CHARACTER);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{LINE}\" fill=\"{fill}\"/>"
        );
        fill = BACKGROUND;
    }
    let weight = if bold { " font-weight=\"bold\"" } else { "" };
    let text = escaped(text.trim_end());
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{baseline}\" fill=\"{fill}\"{weight}>{text}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
