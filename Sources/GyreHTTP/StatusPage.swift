import HTTPTypes

/// The status page: one document with its style and its script inside, so that the one executable serves it without a file.
enum StatusPage {
    /// The page. It may load nothing from elsewhere, and nothing may frame it.
    static let answer: Answer = {
        var answer = Answer(.ok, "text/html; charset=utf-8", StatusPage.document)
        answer.fields[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
            + "frame-ancestors 'none'"
        answer.fields[.cacheControl] = "no-cache"
        return answer
    }()

    private static var document: String {
        self.body.replacingOnce("STYLE", with: StatusPageStyle.text)
            .replacingOnce("SCRIPT", with: StatusPageScript.state + StatusPageScript.drawing)
    }

    private static let body = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Gyre</title>
        <link rel="icon" href="data:,">
        <style>STYLE</style>
        </head>
        <body>
        <header>
          <h1>Gyre <span id="cluster" class="quiet"></span></h1>
          <p id="verdict" class="verdict wait" role="status">asking the nodes…</p>
        </header>
        <ul id="problems" class="problems" hidden></ul>
        <main>
          <section class="card ring">
            <h2>Ring</h2>
            <div class="ring-box">
              <svg id="ring" viewBox="-110 -110 220 220" role="img" aria-label="The partitions of the ring by owner"></svg>
            </div>
            <ul id="legend" class="legend"></ul>
          </section>
          <section class="card nodes">
            <h2>Nodes</h2>
            <div id="nodes" class="node-list"></div>
          </section>
          <section class="card chart">
            <h2>Requests <span class="quiet">a second, this node</span></h2>
            <p class="numbers" id="rate-numbers"></p>
            <canvas id="rate" height="140" role="img" aria-label="Requests a second of the last two minutes"></canvas>
          </section>
          <section class="card chart">
            <h2>Latency <span class="quiet">this node, logarithmic</span></h2>
            <p class="numbers" id="latency-numbers"></p>
            <canvas id="latency" height="140" role="img" aria-label="Latencies of the last two minutes"></canvas>
          </section>
          <section class="card">
            <h2>Hints <span class="quiet">writes that wait for a node</span></h2>
            <div id="hints"></div>
          </section>
          <section class="card">
            <h2>Repair <span class="quiet">comparison of replicas</span></h2>
            <div id="repair"></div>
            <button id="repair-start" type="button">Compare all replicas now</button>
          </section>
          <section class="card">
            <h2>This node</h2>
            <dl id="facts" class="facts"></dl>
          </section>
        </main>
        <footer class="quiet">
          <span id="freshness"></span>
          <a href="/metrics">/metrics</a> <a href="/v1/status">/v1/status</a> <a href="/v1/ring">/v1/ring</a>
          <a href="/stats">/stats</a>
        </footer>
        <script>SCRIPT</script>
        </body>
        </html>

        """
}

extension String {
    /// With the first occurrence of `mark` replaced; the mark must be there.
    fileprivate func replacingOnce(_ mark: String, with text: String) -> String {
        guard let range = self.firstRange(of: mark) else { preconditionFailure("no \(mark) in the page") }
        return self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
