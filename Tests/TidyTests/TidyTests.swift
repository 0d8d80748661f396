import Testing

/// The rules of the house, on every file of the project.
@Suite struct TidyTests {
    @Test func theProjectIsFound() {
        #expect(Project.exists("Package.swift"))
        #expect(!Project.sources.isEmpty)
        #expect(!Project.tests.isEmpty)
    }

    @Test func importsFollowTheArrows() { expectNone(Project.sources.flatMap(Rules.imports)) }

    @Test func theLibrariesInCHaveOneRoomEach() {
        for (library, room) in [("CXXHash", "GyreBase"), ("CLevelDB", "GyreLevelDB"), ("CYAML", "gyre")] {
            #expect(Arrows.allowed.filter { $0.value.contains(library) }.map(\.key) == [room])
        }
    }

    @Test func pureRoomsAreAllowedNothingImpure() {
        let impure = Arrows.platform.union(["NIOPosix", "NIOConcurrencyHelpers", "Logging", "Metrics"])
        for room in Arrows.pure { #expect(Arrows.allowed[room]?.isDisjoint(with: impure) == true, "\(room)") }
    }

    @Test func testsUseTheFaceOfPureRooms() { expectNone(Project.tests.flatMap(Rules.testableImports)) }

    @Test func pureRoomsDoNotReadTheWorld() {
        expectNone(Project.sources.filter { Arrows.pure.contains($0.module) }.flatMap(Rules.impureWords))
    }

    @Test func nothingTrapsOnPurpose() {
        expectNone((Project.sources + Project.tests).flatMap(Rules.forbiddenEverywhere))
    }

    @Test func nothingIsLeftUnfinished() { expectNone(Project.sources.flatMap(Rules.unfinishedWork)) }

    @Test func uncheckedSendableIsProven() {
        expectNone((Project.sources + Project.tests).flatMap(Rules.uncheckedWithoutProof))
    }

    @Test func filesAreShort() { expectNone((Project.sources + Project.tests).flatMap(Rules.fileLength)) }

    @Test func functionsAreShort() { expectNone(Project.sources.flatMap(Rules.functionLength)) }

    @Test func visibleSymbolsAreDocumented() { expectNone(Project.sources.flatMap(Rules.documentation)) }

    @Test func onlyWordsOfTheFieldAreUsed() {
        let pages = Project.pages.filter { $0.path != "docs/GLOSSARY.md" }
        expectNone((Project.sources + pages).flatMap(Rules.words))
    }

    @Test func linksBetweenPagesLeadSomewhere() {
        expectNone(Project.pages.flatMap { Rules.links($0, exists: Project.exists) })
    }

    /// Prints every finding on a line of its own.
    private func expectNone(_ findings: [Finding], _ location: SourceLocation = #_sourceLocation) {
        for finding in findings { Issue.record("\(finding)", sourceLocation: location) }
    }
}
