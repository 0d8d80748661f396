import GyreBase
import GyreQuorum
import GyreRing

/// Whom one operation asks: the owners of a key in order of preference, and for each that cannot be reached the node that
/// stands in for it, if there is one (sloppy quorum, Dynamo §4.6).
///
/// A place is 0 to N − 1, the position of an owner; a stand-in takes the place of its owner. While the ring changes, a write asks
/// the owners of both rings: those that reads go to have the first places. Pure value.
struct ReplicaSet {
    /// The owners, in order of preference.
    let owners: ArraySlice<NodeID>
    /// By place: the node that stands in. Empty while no place has one, as a rule, so that a set is small to move.
    private var standIns: [NodeID] = []
    /// Places that have a stand-in.
    private(set) var replaced = SlotSet()
    /// While the ring changes: the places of the owners that reads go to, and those of the other owners.
    private(set) var lists: (SlotSet, SlotSet)?

    /// Only owners.
    init(owners: ArraySlice<NodeID>) { self.owners = owners }

    /// The owners that reads go to and, behind them, those that are owners in the other ring only.
    init(owners: ArraySlice<NodeID>, andAlso others: ArraySlice<NodeID>) {
        let newcomers = others.filter { !owners.contains($0) }
        guard !newcomers.isEmpty || others.count != owners.count else {
            self.owners = owners
            return
        }
        let all = (Array(owners) + newcomers)[...]
        self.owners = all
        var second = SlotSet()
        for (place, node) in all.enumerated() where others.contains(node) { second.insert(place) }
        self.lists = (SlotSet(first: owners.count), second)
    }

    /// Owners and stand-ins as the ring names them.
    init(owners: ArraySlice<NodeID>, _ list: PreferenceList) {
        self.owners = owners
        for slot in list.slots {
            guard case .fallback(let node, let owner) = slot, let place = self.owners.slot(of: owner) else { continue }
            self.replace(place, by: node)
        }
    }

    /// Places whose owner reads go to.
    var readPlaces: SlotSet { self.lists?.0 ?? self.all }
    /// How many of `places` there are in the list of owners that has fewest.
    func count(_ places: SlotSet) -> Int {
        guard let lists = self.lists else { return places.count }
        return min(places.intersection(lists.0).count, places.intersection(lists.1).count)
    }
    /// All places.
    var all: SlotSet { SlotSet(first: self.owners.count) }
    /// Places whose own owner is asked.
    var primaries: SlotSet { self.all.subtracting(self.replaced) }

    /// Lets `node` stand in for the owner at `place`.
    mutating func replace(_ place: Int, by node: NodeID) {
        if self.standIns.isEmpty { self.standIns = Array(self.owners) }
        self.standIns[place] = node
        self.replaced.insert(place)
    }

    /// The place of an owner or of a stand-in. An owner that answers late still speaks for its place.
    func place(of node: NodeID) -> Int? {
        if let place = self.owners.slot(of: node) { return place }
        for place in self.replaced where self.standIns[place] == node { return place }
        return nil
    }

    /// The places whose node can be reached.
    func reachablePlaces(_ isReachable: (NodeID) -> Bool) -> SlotSet {
        var places = SlotSet()
        for place in self.all where isReachable(self.node(at: place)) { places.insert(place) }
        return places
    }

    /// Who is asked for a place.
    func node(at place: Int) -> NodeID {
        self.replaced.contains(place) ? self.standIns[place] : self.owners.node(at: place)
    }

    /// The owner of a place that has a stand-in, which is whom its hint is for.
    func target(at place: Int) -> NodeID? {
        self.replaced.contains(place) ? self.owners.node(at: place) : nil
    }
}
