/// The one style sheet of all own pages. It is inline, so a page needs nothing but itself, and is allowed by its hash in the
/// content security policy, so no other style can run.
enum PageStyle {
  static let css = """
    :root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--line:#d9dfe7;--paper:#fff;--ground:#f3f5f8;--accent:#0b5cad;--accent-ink:#fff;--warn:#8a4b00}\
    @media (prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#a3afbd;--line:#38424f;--paper:#1c232c;--ground:#12171d;--accent:#7db8f5;--accent-ink:#0d1520;--warn:#f0b36a}}\
    *{box-sizing:border-box}\
    body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}\
    main{max-width:36rem;margin:8vh auto 4vh;padding:2rem;background:var(--paper);border:1px solid var(--line);border-radius:12px}\
    h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}h2{margin:1.75rem 0 .5rem;font-size:1.05rem}\
    p{margin:.5rem 0}dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.25rem;margin:1rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
    ul{margin:.5rem 0;padding-left:1.25rem}code{font:.92em ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}\
    .actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}form{margin:0}\
    .button,button{display:inline-block;padding:.6rem 1.1rem;border:1px solid var(--accent);border-radius:8px;background:var(--accent);color:var(--accent-ink);font:inherit;font-weight:600;text-decoration:none;cursor:pointer}\
    .quiet{background:transparent;color:var(--accent)}\
    .button:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:3px}\
    .note{color:var(--soft);font-size:.9rem}.warn{color:var(--warn)}\
    footer{max-width:36rem;margin:0 auto 4vh;padding:0 2rem;color:var(--soft);font-size:.85rem}
    """
}
