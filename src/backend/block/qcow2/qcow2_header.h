#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/block/image/disk_image.h"

namespace mynah {

// The first cluster of a qcow2 image [qcow2, "Header"]: big-endian fields, then extensions, then
// the name of the backing file.
namespace qcow2 {

inline constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
inline constexpr uint32_t kMinClusterBits = 9, kMaxClusterBits = 21;
inline constexpr uint32_t kMaxRefcountOrder = 6;
// Bounds of what is read into memory whole; those of QEMU.
inline constexpr uint64_t kMaxL1Bytes = 32 << 20, kMaxRefcountTableBytes = 8 << 20;
inline constexpr uint64_t kMaxSnapshots = 65536, kMaxSnapshotBytes = 64 << 20;
inline constexpr uint64_t kMaxBackingName = 1023;

// Offsets of fields that are rewritten alone.
inline constexpr uint64_t kSizeField = 24, kL1Field = 36, kRefcountTableField = 48,
                          kSnapshotsField = 60, kFeaturesField = 72;

// Bits of incompatible_features, compatible_features and autoclear_features.
inline constexpr uint64_t kDirty = 1, kCorrupt = 2, kExternalData = 4, kCompressionType = 8,
                          kExtendedL2 = 16;
inline constexpr uint64_t kKnownIncompatible = 31;
inline constexpr uint64_t kLazyRefcounts = 1;
inline constexpr uint64_t kBitmapsConsistent = 1, kRawExternalData = 2;

// Entries of the first and second level [qcow2, "Cluster mapping"].
inline constexpr uint64_t kCopied = uint64_t{1} << 63, kCompressed = uint64_t{1} << 62;
inline constexpr uint64_t kZeroFlag = 1;
inline constexpr uint64_t kOffsetMask = 0x00fffffffffffe00;

enum class Compression : uint8_t { kZlib = 0, kZstd = 1 };

}  // namespace qcow2

struct Qcow2Bitmaps {
    uint32_t count = 0;
    uint64_t directory_size = 0, directory_offset = 0;
};

struct Qcow2Header {
    uint32_t version = 3;
    uint32_t cluster_bits = 16;
    uint64_t size = 0;
    uint32_t l1_entries = 0;
    uint64_t l1_offset = 0;
    uint64_t refcount_table_offset = 0;
    uint32_t refcount_table_clusters = 0;
    uint32_t snapshot_count = 0;
    uint64_t snapshots_offset = 0;
    uint64_t incompatible = 0, compatible = 0, autoclear = 0;
    uint32_t refcount_order = 4;
    qcow2::Compression compression = qcow2::Compression::kZlib;

    std::optional<BackingReference> backing;
    std::string data_file;
    std::optional<Qcow2Bitmaps> bitmaps;
    struct Extension {
        uint32_t type;
        std::vector<std::byte> content;
    };
    std::vector<Extension> unknown;  // kept as they are

    uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
    bool extended_l2() const { return (incompatible & qcow2::kExtendedL2) != 0; }
    bool external_data() const { return (incompatible & qcow2::kExternalData) != 0; }
    uint64_t l2_entry_bytes() const { return extended_l2() ? 16 : 8; }
    uint64_t l2_entries() const { return cluster_size() / l2_entry_bytes(); }
    uint64_t subclusters() const { return extended_l2() ? 32 : 1; }
    uint64_t subcluster_size() const { return cluster_size() / subclusters(); }
    uint32_t refcount_bits() const { return 1u << refcount_order; }
    uint64_t refcounts_per_block() const { return cluster_size() * 8 / refcount_bits(); }
    uint64_t max_refcount() const { return refcount_order == 6 ? ~uint64_t{0} : (uint64_t{1} << refcount_bits()) - 1; }
    // Entries that a disk of so many bytes needs.
    uint64_t l1_entries_for(uint64_t bytes) const {
        const uint64_t per_table = l2_entries() << cluster_bits;
        return bytes / per_table + (bytes % per_table != 0);
    }

    // Error: says what is wrong with the image; nothing else is read than its first cluster.
    static Result<Qcow2Header> read(ImageFile& file);
    // The first cluster. Error: what was asked for does not fit into it.
    Result<std::vector<std::byte>> serialize() const;
};

}  // namespace mynah
