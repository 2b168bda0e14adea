//! What came of the cases, in the forms that people and programs read.

mod gradescope;
mod json;
mod junit;
mod options;
mod outcome;
mod tap;
mod text;

use crate::terminal::color::Look;

pub(crate) use options::{Form, Options};
pub(super) use outcome::Report;

/// The report as it was asked for.
pub(super) fn written(report: &Report, options: Options, look: Look) -> String {
    match options.form {
        Form::Text => text::written(report, options, look),
        Form::Tap => tap::written(report),
        Form::Json => json::written(report),
        Form::Junit => junit::written(report),
        Form::Gradescope => gradescope::written(report, options),
    }
}
