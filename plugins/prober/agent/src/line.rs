use plimsoll_sdk::{EndpointMode, ProbeLoad};

/// What an agent said.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) load: Option<ProbeLoad>,
    /// None when it said nothing of that.
    pub(crate) up: Option<bool>,
    pub(crate) mode: Option<EndpointMode>,
    /// Share of its weight, in thousandths.
    pub(crate) weight: Option<u32>,
    pub(crate) max_connections: Option<u32>,
    /// For people.
    pub(crate) reason: Option<String>,
}

impl Line {
    /// Words with blanks or commas between them, up to a `#`, behind which is a text for people. What is not known is passed
    /// over, as HAProxy does.
    pub(crate) fn read(line: &[u8]) -> Self {
        let mut parts = line.splitn(2, |byte| *byte == b'#');
        let line = parts.next().unwrap_or_default();
        let reason = parts.next().map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned());
        let mut said = Self { reason: reason.filter(|text| !text.is_empty()), ..Self::default() };
        for word in line.split(|byte| b" \t,".contains(byte)).filter(|word| !word.is_empty()) {
            said.word(word);
        }
        // Who says how to treat it, or tells its load, works, unless it says otherwise.
        let says_something =
            said.mode.is_some() || said.weight.is_some() || said.max_connections.is_some() || said.load.is_some();
        said.up = said.up.or_else(|| says_something.then_some(true));
        said
    }

    fn word(&mut self, word: &[u8]) {
        let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
        if is("up") {
            self.up = self.up.or(Some(true));
        } else if is("ready") {
            self.mode = self.mode.or(Some(EndpointMode::Ready));
        } else if is("drain") {
            self.mode = Some(EndpointMode::Draining);
        } else if is("maint") {
            self.mode = Some(EndpointMode::Disabled);
        } else if ["down", "failed", "fail", "stopped"].iter().any(|known| is(known)) {
            self.up = Some(false);
        } else if let Some(percent) = word.strip_suffix(b"%").and_then(thousandths) {
            self.weight = Some((percent / 100).min(1000));
        } else if let Some(most) = word.strip_prefix(b"maxconn:") {
            self.max_connections =
                str::from_utf8(most).ok().and_then(|most| most.parse().ok()).or(self.max_connections);
        } else if let Some(at) = word.iter().position(|byte| *byte == b':') {
            let (name, value) = (&word[..at], &word[at + 1..]);
            let Some(value) = thousandths(value) else { return };
            let part: fn(&mut ProbeLoad) -> &mut u32 = match name {
                b"cpu_utilization" => |load| &mut load.cpu,
                b"mem_utilization" => |load| &mut load.memory,
                b"application_utilization" => |load| &mut load.utilization,
                b"rps_fractional" => |load| &mut load.requests_per_second,
                b"eps" => |load| &mut load.errors_per_second,
                _ => return,
            };
            *part(self.load()) = value;
        }
    }

    fn load(&mut self) -> &mut ProbeLoad {
        self.load.get_or_insert(ProbeLoad {
            cpu: 0,
            memory: 0,
            utilization: 0,
            requests_per_second: 0,
            errors_per_second: 0,
            named: Vec::new(),
        })
    }
}

/// A decimal number times a thousand; what has more digits behind the point is cut off.
fn thousandths(text: &[u8]) -> Option<u32> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((text, &[][..]), |at| (&text[..at], &text[at + 1..]));
    if whole.is_empty() || ![whole, fraction].concat().iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    whole
        .iter()
        .chain(digits)
        .try_fold(0_u32, |number, digit| number.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
}
