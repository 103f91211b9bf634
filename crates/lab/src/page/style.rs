use crate::report::Entry;

/// How a balancer is drawn.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) color: &'static str,
    /// Of its lines; empty for a solid one.
    pub(super) dash: &'static str,
}

/// Colours that tell apart on white and on black. Those that are compared often have one of their own, so that they look
/// the same on every page.
const COLORS: [(&str, &str); 15] = [
    ("round-robin", "#d1495b"),
    ("random", "#9a8c98"),
    ("least-request", "#2a9d8f"),
    ("least-connections", "#3d7dca"),
    ("least-time", "#e09f3e"),
    ("peak-ewma", "#7b5ea7"),
    ("weighted-by-signal", "#6a994e"),
    ("resource", "#c77d3b"),
    ("static-round-robin", "#e07a9b"),
    ("ring-hash", "#3d7dca"),
    ("maglev", "#e09f3e"),
    ("rendezvous", "#7b5ea7"),
    ("jump-hash", "#d1495b"),
    ("first", "#7b5ea7"),
    ("failover", "#e09f3e"),
];

const OTHERS: [&str; 6] = ["#00a6d6", "#b5179e", "#8f9a27", "#f3722c", "#577590", "#a0785a"];
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// The looks of balancers, in their order.
pub(super) fn looks(entries: &[Entry]) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let mut others = 0;
    for entry in entries {
        let base = entry.name.split_whitespace().next().unwrap_or_default();
        let color = COLORS.iter().find(|(name, _)| *name == base).map(|(_, color)| *color).unwrap_or_else(|| {
            others += 1;
            OTHERS[(others - 1) % OTHERS.len()]
        });
        let same = looks.iter().filter(|look| look.color == color).count();
        looks.push(Look { color, dash: DASHES[same % DASHES.len()] });
    }
    looks
}

macro_rules! colors {
    () => {
        "--paper:#fff;--ink:#1d2330;--pale:#667085;--line:#e3e6ec;--soft:#f5f6f9;--bad:#c1121f;--heat:29,78,216"
    };
    (dark) => {
        "--paper:#12151c;--ink:#e6e9f0;--pale:#98a2b3;--line:#2b313d;--soft:#1a1f29;--bad:#ff6b6b;--heat:96,165,250"
    };
}

macro_rules! drawing {
    () => {
        "text{font:12px system-ui,sans-serif;fill:var(--ink)}.pale{fill:var(--pale)}.small{font-size:11px}\
         .end{text-anchor:end}.middle{text-anchor:middle}.rule{stroke:var(--line);stroke-width:1}\
         .mark{stroke:var(--pale);stroke-width:1;stroke-dasharray:2 3}.curve{fill:none;stroke-width:2;stroke-linejoin:round}\
         .thin{fill:none;stroke-width:1.2;opacity:.55}.failed{fill:var(--bad)}.bold{font-weight:600}.paper{fill:var(--paper)}\
         .cell{fill:rgb(var(--heat))}.frame{fill:var(--soft)}.hollow{fill:var(--paper);stroke-width:2}.over{fill:var(--paper)}.bar{stroke:var(--ink);stroke-width:2}"
    };
}

/// Of a picture that stands alone.
pub(super) const PICTURE_STYLE: &str =
    concat!("svg{", colors!(), "}@media(prefers-color-scheme:dark){svg{", colors!(dark), "}}", drawing!());

/// Of the page.
pub(super) const STYLE: &str = concat!(
    ":root{",
    colors!(),
    "}@media(prefers-color-scheme:dark){:root{",
    colors!(dark),
    "}}",
    drawing!(),
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
     main{max-width:1000px;margin:0 auto;padding:32px 20px 64px}.kind{margin:0;color:var(--pale);font-size:13px;\
     letter-spacing:.06em;text-transform:uppercase}h1{margin:0;font-size:34px;line-height:1.2}.title{margin:4px 0 12px;\
     font-size:20px}.facts{display:flex;flex-wrap:wrap;gap:6px;margin:0}.facts span{background:var(--soft);border:1px solid \
     var(--line);border-radius:6px;padding:2px 9px;font-size:13px}.events{margin:12px 0 0;padding:0;list-style:none;\
     font-size:14px;color:var(--pale)}.events b{display:inline-block;min-width:56px;color:var(--ink)}section{margin-top:36px}\
     h2{margin:0;font-size:21px}.about{margin:2px 0 12px;color:var(--pale);font-size:14px;max-width:78ch}.about b{\
     color:var(--ink)}svg{display:block;width:100%;height:auto}table{border-collapse:collapse;width:100%;font-size:14px}\
     .wide{overflow-x:auto}td,th{padding:5px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line);\
     font-variant-numeric:tabular-nums}th{font-weight:500}thead th{color:var(--pale);font-size:13px}td:first-child,\
     th:first-child{text-align:left;padding-left:0}td.best{font-weight:700}td.bad,.fault{color:var(--bad)}th i{display:inline-block;\
     width:10px;height:10px;border-radius:3px;margin-right:8px}small{color:var(--pale)}dl{display:grid;\
     grid-template-columns:max-content 1fr;gap:2px 14px;margin:14px 0 0;font-size:13px;color:var(--pale)}dt{\
     color:var(--ink)}dd{margin:0}pre{background:var(--soft);border:1px solid var(--line);border-radius:8px;padding:12px;\
     overflow-x:auto;font-size:13px;line-height:1.45}summary{cursor:pointer}svg.lines:hover .curve{opacity:.18}\
     svg.lines:hover g:hover>.curve{opacity:1;stroke-width:3}\
     @media(max-width:760px){main{padding:20px 14px 40px}h1{font-size:27px}.title{font-size:17px}.wide svg{width:780px}dl{\
     grid-template-columns:1fr}dd{margin:0 0 6px}thead th:first-child,tbody th{position:sticky;left:0;background:var(--paper);\
     max-width:42vw;overflow:hidden;text-overflow:ellipsis}}"
);
