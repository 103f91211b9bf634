use super::ground::Ground;
use super::site::{Client, Site};
use crate::statistics::margin;
use crate::trial::{Checked, Property, Trial};
use crate::{Availability, Edit, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Affinity];

/// What clients can do that mean no good.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "A5",
        ALL,
        "whatever clients and applications send is answered, and binds nobody to what cannot serve",
        survives_what_is_sent,
    ),
    Property::thorough(
        "A5b",
        &[Profile::Opaque],
        "a token that was changed, cut, added to or made with another secret binds nobody",
        refuses_what_is_forged,
    ),
    Property::thorough(
        "A9",
        &[Profile::Opaque],
        "what a client is given tells neither the id nor the address of its endpoint, nor any hash of them",
        tells_nothing,
    ),
    Property::thorough(
        "A12",
        ALL,
        "who carries two bindings at once is sent to one of the two or is none's, and always the same",
        has_one_winner,
    ),
    Property::quick(
        "A13",
        ALL,
        "it changes no field that is the host's, and gives nothing that cannot go over the wire",
        edits_what_it_may,
    ),
];

/// Values of a request, who answers it, and with what.
type Request = (Vec<Option<Vec<u8>>>, u32, Vec<Vec<Vec<u8>>>);

fn survives_what_is_sent(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let requests = hostile(trial, &ground)?;
    trial.measure("requests", requests.len() as f64);
    trial.try_list(requests, |_, requests| {
        let mut site = ground.site(fleet())?;
        for (values, slot, response) in requests {
            let bound = site.affinity.find(values)?.slot();
            if bound.is_some_and(|slot| !site.keeps_bound(slot)) {
                return Err(format!("bound to {bound:?} of {:?}", site.endpoints));
            }
            site.affinity.prepare(values)?;
            site.affinity.bind(values, *slot, response)?;
        }
        Ok(())
    })
}

/// Some that serve, and some that do not.
fn fleet() -> Vec<Endpoint> {
    let mut endpoints = Endpoint::several(5);
    endpoints[1].availability = Availability::Unavailable;
    endpoints[3].availability = Availability::Draining;
    endpoints
}

fn hostile(trial: &mut Trial<'_>, ground: &Ground<'_>) -> Result<Vec<Request>, String> {
    let mut site = ground.site(Endpoint::several(5))?;
    let slots = [0, 1, 2, 3];
    let genuine: Vec<Vec<Option<Vec<u8>>>> =
        ground.bound(&mut site, &slots)?.iter().map(|client| site.values(client)).collect();
    let random = &mut trial.random;
    let (attributes, headers) = (site.plan.attributes.len(), site.plan.response_headers.len());
    let count = (trial.steps / 100).clamp(60, 400);
    let request = |number: u32| {
        let known = &genuine[number as usize % genuine.len()];
        let values = (0..attributes).map(|at| garbled(random, known.get(at).cloned().flatten())).collect();
        let fields =
            |random: &mut fastrand::Rng| (0..random.usize(..3)).filter_map(|_| garbled(random, None)).collect();
        let response = (0..headers).map(|_| fields(random)).collect();
        (values, [0, 1, 2, 3, 4, 5, 99, u32::MAX][random.usize(..8)], response)
    };
    let mut requests: Vec<Request> = (0..count).map(request).collect();
    // Who does not fill in what was asked for.
    requests.push((Vec::new(), 0, Vec::new()));
    requests.extend(genuine.into_iter().map(|values| (values, 2, Vec::new())));
    Ok(requests)
}

const LONG: usize = 8192;

/// Something like a value that is known, or like nothing at all.
fn garbled(random: &mut fastrand::Rng, known: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let known = known.unwrap_or_else(|| b"JSESSIONID=a.endpoint-1; Path=/".to_vec());
    let cut = random.usize(..=known.len());
    Some(match random.u8(..12) {
        0 => return None,
        1 => Vec::new(),
        2 => vec![b'A'; LONG],
        3 => (0..random.usize(..300)).map(|_| random.u8(..)).collect(),
        4 => known[..cut].to_vec(),
        5 => known[cut..].to_vec(),
        6 => [&known[..], b", ", &known[..]].concat(),
        7 => known.repeat(LONG / known.len().max(1)),
        8 => [&b"Bearer "[..], &known, b".e30."].concat(),
        9 => [&known[..cut], b"~;=.,\"", &known[cut..]].concat(),
        10 => known.iter().map(|byte| byte ^ 0x80).collect(),
        _ => {
            let mut changed = known;
            if cut < changed.len() {
                changed[cut] = random.u8(..);
            }
            changed
        }
    })
}

fn refuses_what_is_forged(trial: &mut Trial<'_>) -> Checked {
    const SLOT: u32 = 2;
    let ground = Ground::with_clients(trial)?;
    let mut site = ground.site(Endpoint::several(6))?;
    let client = ground.bound(&mut site, &[SLOT])?.remove(0);
    let given = site.values(&client);
    let fresh = site.values(&Client::new(client.number));
    let mut forged = 0;
    for at in (0..given.len()).filter(|at| given[*at] != fresh[*at]) {
        let Some(token) = &given[at] else { continue };
        for other in forgeries(&mut trial.random, token, own_part(token, client.session())) {
            let mut values = given.clone();
            values[at] = Some(other.clone());
            forged += 1;
            if let Some(slot) = site.affinity.find(&values)?.slot() {
                let (other, token) = (String::from_utf8_lossy(&other), String::from_utf8_lossy(token));
                return Err(format!("`{other}`, made of `{token}`, binds to slot {slot}").into());
            }
        }
    }
    trial.measure("forgeries", f64::from(forged));
    let mut elsewhere = ground.site_of(1, Endpoint::several(6))?;
    let stranger = ground.bound(&mut elsewhere, &[SLOT])?.remove(0);
    if let Some(slot) = site.find(&stranger)?.slot() {
        return Err(format!("what a proxy of another secret gave binds to slot {slot}").into());
    }
    Ok(())
}

/// Where in a value the name of a session is, which the application gave and can be anything.
fn own_part(value: &[u8], session: Option<&str>) -> std::ops::Range<usize> {
    let session = session.unwrap_or_default().as_bytes();
    let found = value.windows(session.len().max(1)).position(|part| part == session);
    found.map_or(value.len()..value.len(), |at| at..at + session.len())
}

fn forgeries(random: &mut fastrand::Rng, token: &[u8], own: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let mut forgeries = Vec::new();
    for at in (0..token.len()).filter(|at| !own.contains(at)) {
        for _ in 0..3 {
            let other = *random.choice(b"ABCDEFGHabcdefgh01234567-_").unwrap_or(&b'A');
            if other != token[at] {
                let mut changed = token.to_vec();
                changed[at] = other;
                forgeries.push(changed);
            }
        }
        forgeries.push(token[..at].to_vec());
    }
    forgeries.push([b"A", token].concat());
    // What comes after the name of a session is a part of it.
    if own.is_empty() {
        forgeries.push([token, token].concat());
        forgeries.extend([&b"A"[..], b"=", b"=="].map(|more| [token, more].concat()));
        forgeries.push([token, &vec![b'A'; LONG][..]].concat());
        forgeries.push(token.iter().rev().copied().collect());
        forgeries.push(token.to_ascii_lowercase());
    }
    forgeries.retain(|forgery| forgery != token);
    forgeries
}

fn tells_nothing(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 24;
    let ground = Ground::with_clients(trial)?;
    let given = |proxy: u32| -> Result<Vec<Vec<u8>>, String> {
        let mut site = ground.site_of(proxy, Endpoint::several(ENDPOINTS))?;
        let slots: Vec<u32> = (0..ENDPOINTS).collect();
        let clients = ground.bound(&mut site, &slots)?;
        Ok(clients.iter().map(|client| all_given(&site, client)).collect())
    };
    let (here, there) = (given(0)?, given(1)?);
    for (endpoint, token) in Endpoint::several(ENDPOINTS).iter().zip(&here) {
        let token = String::from_utf8_lossy(token);
        for secret in [&endpoint.id, &endpoint.address.to_string(), &endpoint.address.ip().to_string()] {
            if token.contains(secret.as_str()) {
                return Err(format!("`{token}` tells `{secret}`").into());
            }
        }
    }
    // What does not depend on the secret is the same at both proxies, for the same endpoint. Tokens of different endpoints
    // tell how much is the same by chance.
    let (same, tries) = (alike(&here, &there, 0), compared(&here));
    let by_chance = (1..here.len()).map(|shift| alike(&here, &there, shift)).sum::<f64>() / (here.len() - 1) as f64;
    trial.measure("letters alike", same);
    trial.measure("by chance", by_chance);
    if same > by_chance + margin(tries, (by_chance / tries.max(1.0)).clamp(0.02, 0.98)) {
        return Err(format!(
            "{same} of {tries} letters are the same with another secret, {by_chance:.0} would be by chance: it tells \
             something of its endpoint, such as `{}`",
            String::from_utf8_lossy(&here[0])
        )
        .into());
    }
    Ok(())
}

/// All that the affinity sees of a client which it did not see before.
fn all_given(site: &Site, client: &Client) -> Vec<u8> {
    let before = site.values(&Client::new(client.number));
    let now = site.values(client);
    now.into_iter().zip(before).filter(|(now, before)| now != before).filter_map(|(now, _)| now).flatten().collect()
}

/// Places where tokens of one proxy differ, so that they may tell something.
fn places(tokens: &[Vec<u8>]) -> Vec<usize> {
    let length = tokens.iter().map(Vec::len).min().unwrap_or(0);
    (0..length).filter(|at| tokens.iter().any(|token| token[*at] != tokens[0][*at])).collect()
}

fn compared(tokens: &[Vec<u8>]) -> f64 {
    (places(tokens).len() * tokens.len()) as f64
}

/// Letters that are the same in tokens of one proxy and those, so many endpoints further, of the other.
fn alike(here: &[Vec<u8>], there: &[Vec<u8>], shift: usize) -> f64 {
    let places = places(here);
    let same = |(at, token): (usize, &Vec<u8>)| {
        let other = &there[(at + shift) % there.len()];
        places.iter().filter(|place| other.get(**place) == Some(&token[**place])).count()
    };
    here.iter().enumerate().map(same).sum::<usize>() as f64
}

fn has_one_winner(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    let mut site = ground.site(Endpoint::several(13))?;
    let clients = ground.bound(&mut site, &[4, 9])?;
    let (one, other) = (site.values(&clients[0]), site.values(&clients[1]));
    let mut both = Vec::new();
    for at in (0..one.len()).filter(|at| one[*at] != other[*at]) {
        let mut values = one.clone();
        values[at].clone_from(&other[at]);
        both.push(values);
        // Two fields of a name come as one.
        for (first, second) in [(&one[at], &other[at]), (&other[at], &one[at])] {
            let joined = [first.as_deref().unwrap_or_default(), b", ", second.as_deref().unwrap_or_default()].concat();
            let mut values = one.clone();
            values[at] = Some(joined);
            both.push(values);
        }
    }
    // Whether another worker knows them at all is asked elsewhere.
    let mut there = site.another()?;
    let knows_them = there.find(&clients[0])?.slot() == Some(4) && there.find(&clients[1])?.slot() == Some(9);
    trial.measure("pairs", both.len() as f64);
    let mut winners: Vec<Option<u32>> = Vec::new();
    for (number, values) in both.iter().enumerate() {
        let winner = site.affinity.find(values)?.slot();
        if winner.is_some_and(|slot| slot != 4 && slot != 9) {
            return Err(format!("bound to slots 4 and 9 a client is sent to {winner:?}: {}", shown(values)).into());
        }
        let elsewhere = there.affinity.find(values)?.slot();
        if knows_them && elsewhere != winner {
            return Err(format!("{winner:?} on one worker, {elsewhere:?} on another: {}", shown(&both[number])).into());
        }
        winners.push(winner);
    }
    for (values, winner) in both.iter().zip(winners).rev() {
        let again = site.affinity.find(values)?.slot();
        if again != winner {
            return Err(format!("first {winner:?}, then {again:?}: {}", shown(values)).into());
        }
    }
    Ok(())
}

fn shown(values: &[Option<Vec<u8>>]) -> String {
    let text = |value: &Option<Vec<u8>>| value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    format!("{:?}", values.iter().map(text).collect::<Vec<_>>())
}

/// Fields of a connection, or of the framing of messages (RFC 9110 section 7.6.1, RFC 9112), and the host's own.
const OF_THE_HOST: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

fn edits_what_it_may(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let mut site = ground.site(Endpoint::several(12))?;
    let mut edits = Vec::new();
    for number in 1..30 {
        let mut client = Client::new(number);
        for choice in [number % 12, 7] {
            let values = site.values(&client);
            if site.plan.rewrites_requests {
                edits.extend(site.affinity.prepare(&values)?);
            }
            let response = site.plan.response_headers.iter().map(|_| vec![b"a=b; Path=/".to_vec()]).collect::<Vec<_>>();
            let given = site.affinity.bind(&values, choice, &response)?;
            if let Some(edit) =
                given.iter().find(|edit| matches!(edit, Edit::ReplaceCookie(..) | Edit::RemoveCookie(_)))
            {
                return Err(format!("answers have no cookies to change: {edit:?}").into());
            }
            edits.extend(given);
            site.visit(&mut client, choice)?;
        }
    }
    trial.measure("edits", edits.len() as f64);
    for edit in edits {
        let name = match &edit {
            Edit::Set(name, _) | Edit::Append(name, _) | Edit::Remove(name) => name,
            Edit::ReplaceCookie(..) | Edit::RemoveCookie(_) => continue,
            Edit::Unusable(what) => return Err(format!("it cannot go over the wire: {what}").into()),
        };
        if OF_THE_HOST.contains(&name.as_str()) {
            return Err(format!("{edit:?}, and that is the host's").into());
        }
    }
    Ok(())
}
