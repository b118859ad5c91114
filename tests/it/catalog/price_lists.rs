//! Price lists over the admin API.

use super::{Shop, made};
use crate::operators::ephemeral::Ephemeral;
use crate::support::plans::plan;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

fn import(shop: &Shop<'_>, query: &str, csv: &str) -> (u16, Value) {
    let response = shop.send("POST", &format!("/matrices/import?{query}"), None, csv.as_bytes());
    (response.status, response.json_body())
}

fn lines(faults: &Value) -> Vec<u64> {
    faults.as_array().expect("a list").iter().map(|fault| fault["line"].as_u64().expect("a line")).collect()
}

/// The table of the contract's section 5: what a preview says of a file, and that an import does accordingly.
#[test]
fn the_contracts_table_of_price_lists() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let nine = "w,h,price\n1,1,1\n2,1,1\n3,1,1\n1,2,1\n2,2,1\n3,2,1\n1,3,1\n2,3,1\n3,3,1";
    let ok: &[u64] = &[];
    for (id, csv, widths, heights, faulty) in [
        ("C1", nine, 3, 3, ok),
        ("C2", "width,height,price\n100,200,10\n200,200,20", 2, 1, ok),
        ("C3 empty", "", 0, 0, &[0]),
        ("C3 header", "width,height,price", 0, 0, &[0]),
        ("C3 blanks", " \n\n  \n", 0, 0, &[0]),
        ("C5", "100,200,10\nabc,300,20\n200,200,30", 2, 1, &[2]),
        ("C6", "100,200,10\n200,-300,20", 1, 1, &[2]),
        ("C7", "100,200,10\n200,300,-20", 1, 1, &[2]),
        ("C8 two", "100,200,10\n200,300", 1, 1, &[2]),
        ("C8 four", "100,200,10\n200,300,1,1", 1, 1, &[2]),
        ("C9", "100,200,10\n100,200,99.99", 1, 1, ok),
        ("C10", "200,2,1\n100,2,2\n200,1,3\n100,1,4", 2, 2, ok),
        ("C11", " \"1\" , \"2\" , \"3\" ", 1, 1, ok),
        ("C12", "\u{feff}1,2,3", 1, 1, ok),
        ("C12 header", "\u{feff}width,height,price\n1,2,3", 1, 1, ok),
        ("C13 semicolon", "1;2;3,50", 1, 1, ok),
        ("C13 tab", "1\t2\t3", 1, 1, ok),
        ("C15", "1,2,", 0, 0, &[1]),
        ("C17", "100,200,price on request", 0, 0, &[1]),
        ("C18", "height,width,price\n100,200,5\n50,200,4", 1, 2, ok),
        ("C19", "100,100,1\n200,200,2", 2, 2, &[0]),
        ("C19 not offered", "100,100,1\n200,200,2\n100,200,-\n200,100,-", 2, 2, ok),
        ("C20", "100,200,10.005", 0, 0, &[1]),
        ("quote", "1,2,\"3", 0, 0, &[0]),
        ("grid", "h/w,100,200\n50,1,2\n60,3,", 2, 2, ok),
    ] {
        let matrices = fixture.count("price_matrices");
        let (status, preview) = import(&shop, "preview=true", csv);
        assert_eq!(status, 200, "{id}: {preview}");
        let size = |name: &str| preview[name].as_array().expect("a list").len();
        assert_eq!((size("widths"), size("heights")), (widths, heights), "{id}: {preview}");
        assert_eq!(preview["cells"], widths * heights, "{id}");
        assert_eq!(lines(&preview["faults"]), faulty, "{id}: {preview}");
        assert_eq!(fixture.count("price_matrices"), matrices, "{id}: a look writes nothing");

        let (status, answer) = import(&shop, "name=list", csv);
        if faulty.is_empty() {
            let read = shop.get(&format!("/matrices/{}", made((status, answer))));
            assert_eq!((&read["widths"], &read["heights"]), (&preview["widths"], &preview["heights"]), "{id}");
        } else {
            assert_eq!((status, lines(&answer["faults"])), (422, faulty.to_vec()), "{id}: {answer}");
            assert_eq!(fixture.count("price_matrices"), matrices, "{id}: all or nothing");
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_with_its_limits() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let mut csv = "1,1,1\n".repeat(1_048_576 / 6 + 1);
    csv.truncate(1_048_576);
    csv.truncate(csv.rfind('\n').expect("lines") + 1);
    assert_eq!(import(&shop, "name=full", &csv).0, 201);
    let csv = "1,1,1\n".repeat(1_048_576 / 6 + 1);
    let (status, problem) = import(&shop, "name=more", &csv);
    assert_eq!((status, lines(&problem["faults"])), (422, vec![0]));
    // A diagonal would ask for hundreds of millions of cells.
    let diagonal: String = (1..50_000).map(|step| format!("{step},{step},1\n")).collect();
    let (status, problem) = import(&shop, "name=diagonal", &diagonal);
    assert_eq!(status, 422, "{problem}");
}

/// What a server may take in memory, whatever is done to it.
#[cfg(target_os = "linux")]
const MEMORY_MAX_KIB: u64 = 150 * 1024;

/// Files that are a hundred times their size once they are taken apart, four of each at once.
#[cfg(target_os = "linux")]
#[test]
fn price_lists_full_of_faults_do_not_fill_the_memory() {
    let widths: String = (1..=50).map(|width| format!(",{width}")).collect();
    let files = [
        ("lines of one field", format!("1,1,1\n{}", "x\n".repeat(524_000))),
        ("lines of three fields", format!("1,1,1\n{}", "a,b,c\n".repeat(174_000))),
        ("a header of widths that are none", format!("x/y,1{}\n1,1\n", ",a".repeat(500_000))),
        (
            "a grid of prices that are none",
            format!("x/y{widths}\n{}", format!("q{}\n", ",q".repeat(50)).repeat(10_000)),
        ),
    ];
    let server = Ephemeral::start(&["--handlers", "4"]);
    let path = format!("/admin/api/stores/{}/matrices/import?name=m", server.text("shop"));
    let bearer = format!("Bearer {}", server.text("adminToken"));
    for (name, file) in files {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let ask = || server.ask("POST", &path, &[("Authorization", &bearer)], &file);
                    // On a machine with much else to do, one may not be answered in time: it is the memory that is measured here.
                    let (status, problem) =
                        std::iter::repeat_with(ask).find(|(status, _)| *status != 504).expect("endless");
                    assert_eq!(status, 422, "{name}: {problem}");
                    assert!(problem["faults"].as_array().is_some_and(|faults| faults.len() <= 1_000), "{name}");
                });
            }
        });
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it lives");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the figure is there");
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        assert!(peak < MEMORY_MAX_KIB, "{name}: {peak} KiB at the peak");
    }
}

#[test]
fn bad_lines_are_skipped_only_when_that_is_asked_for() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let csv = "100,200,10\nabc,300,20\n200,300,30";
    let (status, problem) = import(&shop, "name=m", csv);
    assert_eq!((status, lines(&problem["faults"]), &problem["moreFaults"]), (422, vec![2], &json!(0)));
    let id = made(import(&shop, "name=m&skipBad=true", csv));
    let read = shop.get(&format!("/matrices/{id}"));
    assert_eq!(read["prices"], json!([["10.00", null], [null, "30.00"]]), "never a price of 0");
}

#[test]
fn the_query_decides_how_a_list_is_read_and_its_faults_are_named() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    for (query, faulty) in [
        ("", "name"),
        ("name=", "name"),
        ("name=%20", "name"),
        ("name=m&layout=square", "layout"),
        ("name=m&preview=1", "preview"),
        ("name=m&skipbad=true", "skipbad"),
        ("name=m&zero=nothing", "zero"),
    ] {
        let (status, problem) = import(&shop, query, "1,1,1");
        assert_eq!((status, super::fields(&problem)), (422, vec![faulty]), "{query}");
    }
    // A grid of two widths looks like a list of three columns; saying which it is settles it.
    let csv = "10,100,200\n50,1,2\n60,3,4";
    assert_eq!(import(&shop, "preview=true&layout=grid", csv).1["cells"], 4);
    assert_eq!(import(&shop, "preview=true&layout=long", csv).1["layout"], "long");
}

#[test]
fn an_import_into_a_matrix_shows_what_it_changes_and_keeps_the_rest() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    shop.assign("1001", &id);
    let path = format!("/matrices/{id}/import");
    shop.json("PATCH", &format!("/matrices/{id}"), Some("\"1\""), Some(&json!({ "outside": "clamp" })));
    let csv = "h/w,300,600,1000\n200,10,16,-\n400,20,25.50,31";
    let preview = shop.send("PUT", &format!("{path}?preview=true"), None, csv.as_bytes());
    assert_eq!((preview.status, preview.header("etag")), (200, Some("\"2\"")));
    assert_eq!(
        preview.json_body()["changes"],
        json!({
            "widthsAdded": [1000], "widthsRemoved": [900.5], "heightsAdded": [], "heightsRemoved": [],
            "prices": [{ "width": 600, "height": 200, "from": "15.50", "to": "16.00" }],
        })
    );
    for (tag, expected) in [(None, 428), (Some("\"1\""), 412)] {
        assert_eq!(shop.send("PUT", &path, tag, csv.as_bytes()).status, expected);
    }
    assert_eq!(shop.send("PUT", &path, Some("\"2\""), b"1,2,x").status, 422);
    let response = shop.send("PUT", &path, Some("\"2\""), csv.as_bytes());
    assert_eq!((response.status, response.header("etag")), (200, Some("\"3\"")));
    let read = shop.get(&format!("/matrices/{id}"));
    assert_eq!((&read["name"], &read["outside"]), (&json!("m"), &json!("clamp")));
    assert_eq!(read["prices"], json!([["10.00", "16.00", null], ["20.00", "25.50", "31.00"]]));
    assert_eq!(shop.get("/products/1001")["matrix"]["id"], json!(id));
    let renamed = shop.send("PUT", &format!("{path}?name=new"), Some("\"3\""), csv.as_bytes());
    assert_eq!(renamed.status, 200);
    assert_eq!(shop.get(&format!("/matrices/{id}"))["name"], "new");
}

#[test]
fn an_export_imported_again_is_the_same_matrix() {
    let fixture = Fixture::new();
    let shop = Shop::install_in(&fixture, "dinars", "KWD", "cm");
    let body = json!({
        "name": "m", "widths": [0.001, 30, 99_999.5], "heights": [1, 2.5],
        "prices": [["0.001", null, "1"], [null, null, "999999999999.999"]],
    });
    let id = made(shop.post("/matrices", &body));
    let original = shop.get(&format!("/matrices/{id}"));
    for layout in ["long", "grid"] {
        let response = shop.send("GET", &format!("/matrices/{id}/export?layout={layout}"), None, b"");
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/csv; charset=utf-8")));
        assert!(response.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
        let csv = String::from_utf8(response.body).expect("text");
        let again = shop.get(&format!("/matrices/{}", made(import(&shop, "name=again", &csv))));
        for member in ["widths", "heights", "prices"] {
            assert_eq!(again[member], original[member], "{layout} {member}: {csv}");
        }
    }
    assert_eq!(shop.send("GET", &format!("/matrices/{id}/export?layout=auto"), None, b"").status, 422);
}

#[test]
fn a_preview_says_what_was_understood_and_what_is_unusual() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let csv = "Preisliste Rollo\r\nBreite (cm);20,5;40;60\r\n30;10,00;25,50;40,00\r\n60;15,00;-;1.045,00\r\n90;12,00;20,00;50,00\r\n";
    let (status, preview) = import(&shop, "preview=true&name=m", csv);
    assert_eq!((status, &preview["faults"]), (200, &json!([])), "{preview}");
    assert_eq!(
        preview["axes"],
        json!({
            "width": { "runs": "down", "unit": "mm", "listUnit": "cm", "smallest": 300, "largest": 900 },
            "height": { "runs": "across", "unit": "mm", "listUnit": "cm", "smallest": 205, "largest": 600 },
        })
    );
    assert_eq!(
        (&preview["decimalMark"], &preview["separator"], &preview["linesAbove"], &preview["currency"]),
        (&json!("comma"), &json!(";"), &json!(1), &json!("EUR"))
    );
    let priced = |width: u64, height: u64, price: &str| json!({ "width": width, "height": height, "price": price });
    assert_eq!(preview["smallestPrice"], priced(300, 205, "10.00"));
    assert_eq!(preview["largestPrice"], priced(600, 600, "1045.00"));
    assert_eq!(preview["notOffered"], json!([{ "width": 600, "height": 400 }]));
    assert_eq!((&preview["zeroPrices"], &preview["sameName"]), (&json!([]), &json!([])));
    let mut deepest = priced(900, 600, "50.00");
    deepest["than"] = priced(600, 600, "1045.00");
    assert_eq!(preview["fallingPrices"][0], deepest);
    assert_eq!(preview["fallingPrices"].as_array().map(Vec::len), Some(3));
    let repeated = import(&shop, "preview=true", "1,2,3\n1,2,4").1;
    assert_eq!(repeated["repeated"], json!([{ "line": 2, "width": 1, "height": 2, "from": "3.00", "to": "4.00" }]));

    let id = made(import(&shop, "name=m", csv));
    assert_eq!(import(&shop, "preview=true&name=m", csv).1["sameName"], json!([id]));
    // The largest change first, whichever way it goes.
    let changed = "h/w,300,600,900\n205,11,15,12\n400,25.50,9,10\n600,40,1045,60";
    let path = format!("/matrices/{id}/import?preview=true");
    let changes = shop.send("PUT", &path, None, changed.as_bytes()).json_body()["changes"]["prices"].clone();
    let pairs: Vec<_> =
        changes.as_array().expect("a list").iter().map(|price| (price["from"].clone(), price["to"].clone())).collect();
    let pair = |from: &str, to: &str| (json!(from), json!(to));
    let appears = (Value::Null, json!("9.00"));
    assert_eq!(pairs, [pair("20.00", "10.00"), pair("50.00", "60.00"), pair("10.00", "11.00"), appears]);
}

/// A second list of a name prices no product. The contract's clients make one without being asked, so the answer says it; those who
/// want to be asked say so.
#[test]
fn a_second_matrix_of_a_name_is_reported_and_refused_where_the_client_asks() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let csv = "w,h,price\n1,1,1";
    let grid = json!({ "name": "Roller", "widths": [1], "heights": [1], "prices": [["1.00"]] });
    let create = |query: &str| {
        let response = shop.send("POST", &format!("/matrices{query}"), None, grid.to_string().as_bytes());
        (response.status, response.json_body())
    };
    let (status, first) = import(&shop, "name=Roller&new=false", csv);
    assert_eq!((status, first.get("sameName")), (201, None));
    let refused = [import(&shop, "name=Roller&new=false", csv), create("?new=false")];
    for (status, problem) in refused {
        assert_eq!(
            (status, &problem["code"], &problem["sameName"]),
            (409, &json!("name_taken"), &json!([first["id"]]))
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("\"Roller\"")), "{problem}");
    }
    assert_eq!(fixture.count("price_matrices"), 1, "nothing was made");
    let (status, second) = import(&shop, "name=Roller", csv);
    assert_eq!((status, &second["sameName"]), (201, &json!([first["id"]])));
    assert_eq!(import(&shop, "name=Roller&new=true", csv).0, 201);
    let (status, made) = create("");
    assert_eq!((status, made["sameName"].as_array().map(Vec::len)), (201, Some(2)), "two of them are enough");
    assert_eq!((create("?new=maybe").0, create("?nwe=false").0), (422, 422));
    // In another store it is another name.
    let other = Shop::install(&fixture, "other");
    assert_eq!(import(&other, "name=Roller&new=false", csv).0, 201);
}

#[test]
fn the_suppliers_files_of_the_reports_are_read_right_or_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install_in(&fixture, "panes", "USD", "mm");
    let refused = |csv: &[u8], told: &str| {
        let response = shop.send("POST", "/matrices/import?name=m", None, csv);
        let faults = response.json_body()["faults"].to_string();
        assert!(response.status == 422 && faults.contains(told), "{told}: {faults}");
        assert_eq!(fixture.count("price_matrices"), 0);
    };
    refused(b"500;600;70\n1,500;600;99\n", "could be 1500 or 1.5");
    refused(b"h/w;600;800;1,000\n500;70;80;90\n", "could be 1000 or 1");
    refused(b"500,600,70\n1.500,600,99\n", "could be 1500 or 1.5");
    refused(b"Breite;H\xF6he;Preis (\x80)\n300;200;12,50\n", "says \u{20ac}");
    refused(b"louvre_mm,width_mm,price\n89,610,41\n127,610,44\n", "louvre_mm");
    refused(b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", ".xlsx");
    for corner in ["width", "Breite", "width \u{2193} / height \u{2192}"] {
        let csv = format!("{corner},200,400,600\n300,10,25,40\n600,15,30,45\n");
        let read = shop.get(&format!("/matrices/{}", made(import(&shop, "name=m", &csv))));
        assert_eq!((&read["widths"], &read["heights"]), (&json!([300, 600]), &json!([200, 400, 600])), "{corner}");
        assert_eq!(read["prices"], json!([["10.00", "15.00"], ["25.00", "30.00"], ["40.00", "45.00"]]), "{corner}");
    }
}

#[test]
fn zeros_among_prices_are_asked_about_and_named_once_they_are_sold() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let csv = "height/width,600,900,1200\n500,120.00,150.00,0.00\n1000,140.00,0.00,0.00";
    let zeros =
        json!([{ "width": 1200, "height": 500 }, { "width": 900, "height": 1000 }, { "width": 1200, "height": 1000 }]);
    let (status, problem) = import(&shop, "name=m", csv);
    assert_eq!(status, 422);
    let told = problem["faults"][0]["message"].as_str().expect("a message");
    assert!(told.contains("1200 x 500, 900 x 1000, 1200 x 1000") && told.contains("zero=not-offered"), "{told}");
    assert_eq!(import(&shop, "preview=true", csv).1["zeroPrices"], zeros);

    let (status, answer) = import(&shop, "name=m&zero=free", csv);
    assert_eq!((status, &answer["zeroPrices"]), (201, &zeros));
    let id = answer["id"].as_str().expect("an id");
    // Exported and imported again, it is the same matrix without being asked about again.
    let exported = shop.send("GET", &format!("/matrices/{id}/export"), None, b"").body;
    let again = shop.send("PUT", &format!("/matrices/{id}/import"), Some("*"), &exported);
    assert_eq!((again.status, &again.json_body()["zeroPrices"]), (200, &zeros));

    // Found by an index of their own, however many prices there are.
    let plan = plan(&fixture, "SELECT matrix_id, count(*) FROM matrix_cells WHERE price_minor = 0 GROUP BY matrix_id");
    assert!(plan.contains("matrix_cells_free"), "{plan}");

    let (status, answer) = import(&shop, "name=n&zero=not-offered", csv);
    assert_eq!((status, &answer["zeroPrices"]), (201, &json!([])));
    let id = answer["id"].as_str().expect("an id");
    assert_eq!(
        shop.get(&format!("/matrices/{id}"))["prices"],
        json!([["120.00", "150.00", null], ["140.00", null, null]])
    );
}
