#include "backend/block/qcow2/qcow2_header.h"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <string_view>

#include "backend/block/image/byte_order.h"

namespace mynah {

using namespace qcow2;

namespace {

constexpr uint64_t kHeader2 = 72, kHeader3 = 104, kHeader3Compression = 112;
constexpr uint32_t kEnd = 0, kBackingFormat = 0xe2792aca, kFeatureNames = 0x6803f857,
                   kBitmapsExtension = 0x23852875, kDataFile = 0x44415441;

struct FeatureName {
    uint8_t type, bit;
    const char* name;
};
// So that programs which do not know a feature can say its name.
constexpr std::array kNames{
    FeatureName{0, 0, "dirty bit"},          FeatureName{0, 1, "corrupt bit"},
    FeatureName{0, 2, "external data file"}, FeatureName{0, 3, "compression type"},
    FeatureName{0, 4, "extended L2 entries"}, FeatureName{1, 0, "lazy refcounts"},
    FeatureName{2, 0, "bitmaps"},            FeatureName{2, 1, "raw external data"},
};
constexpr uint64_t kFeatureNameBytes = 48;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable qcow2 image: {}", what));
}

std::string text_of(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void parse_fields(Qcow2Header& header, const std::byte* at) {
    header.version = load_big<uint32_t>(at + 4);
    header.cluster_bits = load_big<uint32_t>(at + 20);
    header.size = load_big<uint64_t>(at + 24);
    header.l1_entries = load_big<uint32_t>(at + 36);
    header.l1_offset = load_big<uint64_t>(at + 40);
    header.refcount_table_offset = load_big<uint64_t>(at + 48);
    header.refcount_table_clusters = load_big<uint32_t>(at + 56);
    header.snapshot_count = load_big<uint32_t>(at + 60);
    header.snapshots_offset = load_big<uint64_t>(at + 64);
}

Result<void> check_features(const ImageFile& file, const Qcow2Header& header) {
    const uint64_t unknown = header.incompatible & ~kKnownIncompatible;
    if (unknown != 0)
        return bad(file, fmt::format("it has incompatible features this version does not know "
                                     "(bits {:#x})", unknown));
    if (header.refcount_order > kMaxRefcountOrder)
        return bad(file, fmt::format("its reference counts are 2^{} bits wide; expected at most "
                                     "64", header.refcount_order));
    if (header.compression > Compression::kZstd)
        return bad(file, fmt::format("its compression type {} is unknown; expected zlib or zstd",
                                     static_cast<unsigned>(header.compression)));
    if (header.extended_l2() && header.cluster_bits < 14)
        return bad(file, "clusters below 16 KiB have no subclusters");
    return {};
}

Result<void> check_places(const ImageFile& file, const Qcow2Header& header) {
    const uint64_t in_cluster = header.cluster_size() - 1;
    if ((header.l1_offset & in_cluster) != 0 || (header.refcount_table_offset & in_cluster) != 0 ||
        (header.snapshots_offset & in_cluster) != 0)
        return bad(file, "a table does not begin at a cluster");
    if (header.l1_entries > kMaxL1Bytes / 8)
        return bad(file, "its first level table is larger than 32 MiB");
    if (header.size > uint64_t{INT64_MAX} - header.cluster_size() ||
        header.l1_entries_for(header.size) > header.l1_entries)
        return bad(file, fmt::format("its first level table is too short for a disk of {} bytes",
                                     header.size));
    if (header.refcount_table_clusters == 0 ||
        header.refcount_table_clusters > (kMaxRefcountTableBytes >> header.cluster_bits))
        return bad(file, "its reference count table is empty or larger than 8 MiB");
    if (header.snapshot_count > kMaxSnapshots) return bad(file, "it has more than 65536 snapshots");
    const uint64_t end = file.size();
    const uint64_t table_bytes = header.cluster_size() * header.refcount_table_clusters;
    if (header.refcount_table_offset == 0 || header.refcount_table_offset > end ||
        table_bytes > align_up(end, header.cluster_size()) - header.refcount_table_offset)
        return bad(file, "its reference count table lies beyond the end of the file");
    if (header.l1_entries > 0 &&
        (header.l1_offset == 0 || header.l1_offset > end ||
         header.l1_entries * uint64_t{8} > align_up(end, header.cluster_size()) - header.l1_offset))
        return bad(file, "its first level table lies beyond the end of the file");
    return {};
}

Result<void> parse_extension(const ImageFile& file, Qcow2Header& header, uint32_t type,
                             std::span<const std::byte> content) {
    if (type == kBackingFormat) {
        if (!header.backing) header.backing.emplace();
        header.backing->format = text_of(content);
    } else if (type == kDataFile) {
        header.data_file = text_of(content);
    } else if (type == kBitmapsExtension) {
        if (content.size() < 24) return bad(file, "its bitmaps extension is too short");
        header.bitmaps = Qcow2Bitmaps{load_big<uint32_t>(content.data()),
                                      load_big<uint64_t>(content.data() + 8),
                                      load_big<uint64_t>(content.data() + 16)};
    } else if (type != kFeatureNames) {
        header.unknown.push_back({type, {content.begin(), content.end()}});
    }
    return {};
}

Result<void> parse_extensions(const ImageFile& file, Qcow2Header& header,
                              std::span<const std::byte> cluster, uint64_t at, uint64_t end) {
    while (at + 8 <= end) {
        const uint32_t type = load_big<uint32_t>(&cluster[at]);
        const uint64_t length = load_big<uint32_t>(&cluster[at + 4]);
        if (type == kEnd) return {};
        at += 8;
        if (length > end - at) return bad(file, "a header extension is longer than the header");
        TRY(parse_extension(file, header, type, cluster.subspan(at, length)));
        at = align_up(at + length, 8);
    }
    return {};
}

}  // namespace

Result<Qcow2Header> Qcow2Header::read(ImageFile& file) {
    std::vector<std::byte> cluster(512);
    TRY(expect_ok(file, "read", file.read_bytes(0, cluster)));
    Qcow2Header header;
    if (file.size() < kHeader2 || load_big<uint32_t>(cluster.data()) != kMagic)
        return bad(file, "it does not begin as one");
    parse_fields(header, cluster.data());
    if (header.version != 2 && header.version != 3)
        return bad(file, fmt::format("its version is {}; expected 2 or 3", header.version));
    if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits)
        return bad(file, fmt::format("its clusters have 2^{} bytes; expected 512 bytes to 2 MiB",
                                     header.cluster_bits));
    cluster.resize(header.cluster_size());
    TRY(expect_ok(file, "read", file.read_bytes(0, cluster)));
    if (load_big<uint32_t>(&cluster[32]) != 0)
        return bad(file, "it is encrypted, which this version cannot read");
    uint64_t length = kHeader2;
    if (header.version == 3) {
        header.incompatible = load_big<uint64_t>(&cluster[72]);
        header.compatible = load_big<uint64_t>(&cluster[80]);
        header.autoclear = load_big<uint64_t>(&cluster[88]);
        header.refcount_order = load_big<uint32_t>(&cluster[96]);
        length = load_big<uint32_t>(&cluster[100]);
        if (length < kHeader3 || length > header.cluster_size())
            return bad(file, fmt::format("its header claims {} bytes", length));
        if (length > kHeader3)
            header.compression = static_cast<Compression>(cluster[104]);
    }
    TRY(check_features(file, header));
    TRY(check_places(file, header));
    const uint64_t name_at = load_big<uint64_t>(&cluster[8]);
    const uint64_t name_size = load_big<uint32_t>(&cluster[16]);
    uint64_t extensions_end = header.cluster_size();
    if (name_at != 0) {
        if (name_size == 0 || name_size > kMaxBackingName || name_at > header.cluster_size() ||
            name_size > header.cluster_size() - name_at || name_at < length)
            return bad(file, "the name of its backing file lies outside its header");
        header.backing.emplace();
        header.backing->path = text_of(std::span(cluster).subspan(name_at, name_size));
        extensions_end = name_at;
    }
    TRY(parse_extensions(file, header, cluster, length, extensions_end));
    if (name_at == 0) header.backing.reset();  // a format alone says nothing
    if (header.external_data() && header.data_file.empty())
        return bad(file, "it does not name its external data file");
    return header;
}

namespace {

class Writer {
  public:
    explicit Writer(std::vector<std::byte>& bytes, size_t at) : bytes_(bytes), at_(at) {}
    void extension(uint32_t type, std::span<const std::byte> content) {
        put(8, [&](std::byte* to) {
            store_big<uint32_t>(to, type);
            store_big<uint32_t>(to + 4, static_cast<uint32_t>(content.size()));
        });
        put(align_up(content.size(), 8), [&](std::byte* to) {
            if (!content.empty()) std::memcpy(to, content.data(), content.size());
        });
    }
    void extension(uint32_t type, std::string_view text) {
        extension(type, std::as_bytes(std::span(text)));
    }
    size_t raw(std::string_view text) {
        const size_t start = at_;
        put(text.size(), [&](std::byte* to) { std::memcpy(to, text.data(), text.size()); });
        return start;
    }
    bool fits() const { return fits_; }

  private:
    template <typename Fill>
    void put(size_t size, Fill fill) {
        fits_ = fits_ && size <= bytes_.size() - at_;
        if (!fits_) return;
        if (size > 0) fill(&bytes_[at_]);
        at_ += size;
    }
    std::vector<std::byte>& bytes_;
    size_t at_;
    bool fits_ = true;
};

std::vector<std::byte> feature_names() {
    std::vector<std::byte> table(kNames.size() * kFeatureNameBytes);
    std::byte* at = table.data();
    for (const FeatureName& each : kNames) {
        at[0] = std::byte{each.type};
        at[1] = std::byte{each.bit};
        std::memcpy(at + 2, each.name, std::strlen(each.name));
        at += kFeatureNameBytes;
    }
    return table;
}

}  // namespace

Result<std::vector<std::byte>> Qcow2Header::serialize() const {
    std::vector<std::byte> cluster(cluster_size());
    std::byte* at = cluster.data();
    store_big<uint32_t>(at, kMagic);
    store_big<uint32_t>(at + 4, version);
    store_big<uint32_t>(at + 20, cluster_bits);
    store_big<uint64_t>(at + 24, size);
    store_big<uint32_t>(at + 36, l1_entries);
    store_big<uint64_t>(at + 40, l1_offset);
    store_big<uint64_t>(at + 48, refcount_table_offset);
    store_big<uint32_t>(at + 56, refcount_table_clusters);
    store_big<uint32_t>(at + 60, snapshot_count);
    store_big<uint64_t>(at + 64, snapshots_offset);
    uint64_t length = kHeader2;
    if (version == 3) {
        length = kHeader3Compression;
        store_big<uint64_t>(at + 72, incompatible);
        store_big<uint64_t>(at + 80, compatible);
        store_big<uint64_t>(at + 88, autoclear);
        store_big<uint32_t>(at + 96, refcount_order);
        store_big<uint32_t>(at + 100, static_cast<uint32_t>(length));
        at[104] = static_cast<std::byte>(compression);
    }
    Writer writer(cluster, length);
    if (backing && !backing->format.empty()) writer.extension(kBackingFormat, backing->format);
    if (!data_file.empty()) writer.extension(kDataFile, data_file);
    if (bitmaps) {
        std::array<std::byte, 24> content{};
        store_big<uint32_t>(&content[0], bitmaps->count);
        store_big<uint64_t>(&content[8], bitmaps->directory_size);
        store_big<uint64_t>(&content[16], bitmaps->directory_offset);
        writer.extension(kBitmapsExtension, content);
    }
    for (const Extension& each : unknown) writer.extension(each.type, each.content);
    // It is only for messages: left out where clusters are too small for it.
    if (version == 3 && cluster_size() >= 4096) writer.extension(kFeatureNames, feature_names());
    writer.extension(kEnd, std::string_view());
    if (backing) {
        if (backing->path.size() > kMaxBackingName)
            return Error("the name of the backing file is longer than 1023 bytes");
        store_big<uint64_t>(at + 8, writer.raw(backing->path));
        store_big<uint32_t>(at + 16, static_cast<uint32_t>(backing->path.size()));
    }
    if (!writer.fits())
        return Error(fmt::format("the header does not fit into a cluster of {} bytes; expected "
                                 "larger clusters or shorter names", cluster_size()));
    return cluster;
}

}  // namespace mynah
