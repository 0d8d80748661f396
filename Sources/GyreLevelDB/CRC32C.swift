/// The checksum that LevelDB's logs carry: CRC-32C (Castagnoli), as RFC 3720 Appendix B.4 defines it. Pure functions.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }

    /// The checksum of `bytes`.
    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        self.table.withUnsafeBufferPointer { table in
            var crc = ~UInt32(0)
            for byte in bytes { crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
            return ~crc
        }
    }

    /// The form in which LevelDB stores a checksum, so that one over bytes that hold checksums is no weak one
    /// (LevelDB, `util/crc32c.h`).
    static func masked(_ crc: UInt32) -> UInt32 { (crc >> 15 | crc << 17) &+ 0xA282_EAD8 }
}
