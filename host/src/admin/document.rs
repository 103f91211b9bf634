use utoipa::openapi::{OpenApi, RefOr};

/// Says of every answer what it means, where nothing was said: the format wants it of each (OpenAPI 3.1, "Response Object").
pub(super) fn describe_answers(document: &mut OpenApi) {
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete];
        let answers = operations.into_iter().flatten().flat_map(|operation| &mut operation.responses.responses);
        for (status, answer) in answers {
            if let RefOr::T(answer) = answer
                && answer.description.is_empty()
            {
                answer.description = meaning(status).to_owned();
            }
        }
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "As it is now",
        "201" => "It is there from now on",
        "202" => "It has begun",
        "204" => "It is gone",
        "400" => "The request is malformed; nothing has changed",
        "404" => "There is no such thing",
        "409" => "It cannot be as things are now; nothing has changed",
        "413" => "The body is too large; nothing has changed",
        "422" => "It does not fit, and why; nothing has changed",
        "503" => "Not now",
        _ => "It has failed; nothing has changed",
    }
}
