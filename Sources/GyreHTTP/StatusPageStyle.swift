/// The style of the status page: readable on a phone, light and dark as the reader's system is.
enum StatusPageStyle {
    static let text = """

        :root {
          --ground: #f4f5f7; --card: #ffffff; --ink: #1a1f29; --quiet: #616b7a; --line: #dfe3e9; --grid: #e8ebf0;
          --good: #11743f; --good-soft: #dff3e7; --bad: #b3261e; --bad-soft: #fbe4e2; --wait: #8a5a00; --wait-soft: #fdf0d5;
          --p50: #2563eb; --p90: #9333ea; --p99: #db2777; --put: #ea7317; --get: #2563eb; --other: #64748b;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --ground: #0f1319; --card: #181e27; --ink: #e7eaf0; --quiet: #97a2b3; --line: #2a323e; --grid: #232b36;
            --good: #5fd39a; --good-soft: #12301f; --bad: #ff8f86; --bad-soft: #3a1816; --wait: #f2c063; --wait-soft: #33270d;
            --p50: #6ea8fe; --p90: #c08bff; --p99: #ff7ab8; --put: #ffa558; --get: #6ea8fe; --other: #94a3b8;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, -apple-system, "Segoe UI",
          "Roboto", "DejaVu Sans", sans-serif; padding: 16px clamp(12px, 3vw, 32px); max-width: 1240px; margin-inline: auto;
        }
        header { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: baseline; justify-content: space-between; }
        h1 { font-size: 22px; margin: 0; letter-spacing: -0.01em; }
        h2 { font-size: 15px; margin: 0 0 10px; }
        .quiet { color: var(--quiet); font-weight: 400; font-size: 13px; }
        .verdict { margin: 0; padding: 4px 12px; border-radius: 999px; font-weight: 600; font-size: 14px; }
        .good { background: var(--good-soft); color: var(--good); }
        .bad { background: var(--bad-soft); color: var(--bad); }
        .wait { background: var(--wait-soft); color: var(--wait); }
        .problems { margin: 12px 0 0; padding: 10px 14px 10px 32px; border-radius: 10px; background: var(--bad-soft); }
        .problems li { color: var(--bad); }
        main { display: grid; gap: 14px; margin-top: 14px; grid-template-columns: repeat(12, 1fr); }
        .card {
          background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; min-width: 0;
          grid-column: span 4;
        }
        .ring { grid-column: span 4; }
        .nodes { grid-column: span 8; }
        .chart { grid-column: span 6; }
        @media (max-width: 900px) { .card, .ring, .nodes, .chart { grid-column: 1 / -1; } }
        .ring-box { display: flex; justify-content: center; }
        #ring { width: min(100%, 250px); height: auto; display: block; }
        #ring .middle { fill: var(--ink); font-size: 15px; font-weight: 600; text-anchor: middle; }
        #ring .under { fill: var(--quiet); font-size: 9.5px; text-anchor: middle; }
        .legend { list-style: none; padding: 0; margin: 10px 0 0; display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 13px;
          justify-content: center; }
        .swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
        .node-list { display: grid; gap: 8px; }
        .node {
          display: grid; grid-template-columns: minmax(130px, 1.3fr) 124px repeat(4, minmax(64px, 1fr)); gap: 4px 14px;
          align-items: center; border: 1px solid var(--line); border-left: 5px solid var(--owner); border-radius: 8px;
          padding: 8px 12px;
        }
        .node.down { opacity: 0.85; }
        .node b { font-size: 15px; }
        .node .address { display: block; font-size: 12px; color: var(--quiet); overflow-wrap: anywhere; }
        .state { font-size: 12px; font-weight: 600; border-radius: 999px; padding: 2px 9px; white-space: nowrap; }
        .figure { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
        .figure small { display: block; color: var(--quiet); font-size: 11px; }
        @media (max-width: 640px) {
          .node { grid-template-columns: repeat(4, 1fr); }
          .node .who { grid-column: span 3; }
          .node .badge { justify-self: end; }
          .figure { text-align: left; font-size: 14px; }
        }
        .numbers { margin: 0 0 6px; font-variant-numeric: tabular-nums; display: flex; flex-wrap: wrap; gap: 2px 16px;
          font-size: 14px; }
        .numbers i { font-style: normal; font-weight: 600; }
        canvas { width: 100%; height: 140px; display: block; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
        td, th { text-align: right; padding: 4px 0 4px 12px; border-bottom: 1px solid var(--line); }
        th { color: var(--quiet); font-weight: 400; font-size: 12px; }
        td:first-child, th:first-child { text-align: left; padding-left: 0; }
        .bar { height: 8px; border-radius: 4px; background: var(--grid); overflow: hidden; margin: 6px 0; }
        .bar div { height: 100%; background: var(--p50); transition: width 0.4s; }
        button {
          font: inherit; font-size: 14px; padding: 6px 12px; border-radius: 8px; border: 1px solid var(--line);
          background: var(--ground); color: var(--ink); cursor: pointer; margin-top: 8px;
        }
        button:disabled { opacity: 0.5; cursor: default; }
        .facts { display: grid; grid-template-columns: auto 1fr; gap: 3px 14px; margin: 0; font-size: 14px; }
        .facts dt { color: var(--quiet); }
        .facts dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
        footer { margin: 18px 0 4px; display: flex; flex-wrap: wrap; gap: 6px 14px; }
        a { color: inherit; }

        """
}
