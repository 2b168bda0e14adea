//! What is typed, and the requests that have to come of it.

use crate::check::client::stage::{Scene, Stage};
use crate::check::verdict::{Given, Step};

/// What a sender types, and what has to come of it: these requests, each answered with `ok`.
pub(super) fn sends(stage: &Stage, typed: impl AsRef<[u8]>, requests: &[&[u8]]) -> Step<Scene> {
    let mut scene = stage.logged_in()?;
    scene.program.type_in(typed);
    for request in requests {
        scene.server.expect(request)?;
        scene.server.send("ok:done\n").given()?;
    }
    Ok(scene)
}
