//! What changes, as it changes: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;

use crate::control::{Control, Event};

/// What happens, as it happens, as server-sent events, until the client ends: opinions of health (`health`), what operators do
/// (`administration`), when requests begin and end to go to endpoints that are not healthy (`panic`), what plugins say in the log
/// (`message`) and how they fail (`fault`), candidates that begin or end to decide beside a plugin
/// (`shadow`). A client that does not keep up hears how many it has missed (`missed`). After ten minutes the connection may end, as any of this API.
#[utoipa::path(get, path = "/v1/events", responses((status = 200, body = Event, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(control): State<Arc<Control>>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let listeners = (control.listen_to_events(), control.listen_to_plugins());
    let told = stream::unfold(listeners, async |(mut events, mut plugins)| {
        let event = tokio::select! {
            event = events.recv() => event,
            event = plugins.recv() => event.map(Event::from),
        };
        let event = match event {
            Ok(event) => {
                let data = serde_json::to_string(&event).unwrap_or_default();
                sse::Event::default().event(event.kind()).data(data)
            }
            Err(RecvError::Lagged(missed)) => sse::Event::default().event("missed").data(missed.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), (events, plugins)))
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}
