/// Columns of text as `kubectl` prints them: a line of headings, three spaces between columns, numbers to the right.
struct TextTable {
    /// One column.
    struct Column {
        let heading: String
        let isNumber: Bool

        init(_ heading: String, isNumber: Bool = false) {
            self.heading = heading
            self.isNumber = isNumber
        }
    }

    private let columns: [Column]
    private var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// Adds a row with one text a column.
    mutating func add(_ row: [String]) {
        precondition(row.count == self.columns.count, "\(row.count) texts for \(self.columns.count) columns")
        self.rows.append(row)
    }

    /// The lines, headings first, without spaces at their ends.
    var lines: [String] {
        let all = [self.columns.map(\.heading)] + self.rows
        let widths = self.columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            let cells = row.indices.map { column in
                let spaces = String(repeating: " ", count: widths[column] - row[column].count)
                return self.columns[column].isNumber ? spaces + row[column] : row[column] + spaces
            }
            var line = cells.joined(separator: "   ")
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
