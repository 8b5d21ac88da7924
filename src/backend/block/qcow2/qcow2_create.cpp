#include <fmt/core.h>

#include <bit>

#include "backend/block/image/byte_order.h"
#include "backend/block/qcow2/qcow2_image.h"

namespace mynah {

using namespace qcow2;

namespace {

Result<void> check_options(const Qcow2CreateOptions& options) {
    if (options.version != 2 && options.version != 3)
        return Error("compat: expected 0.10 (version 2) or 1.1 (version 3)");
    if (!std::has_single_bit(options.cluster_size) ||
        options.cluster_size < (1u << kMinClusterBits) ||
        options.cluster_size > (1u << kMaxClusterBits))
        return Error("cluster_size: expected a power of two from 512 to 2M");
    if (!std::has_single_bit(options.refcount_bits) || options.refcount_bits > 64)
        return Error("refcount_bits: expected 1, 2, 4, 8, 16, 32 or 64");
    if (options.version == 2) {
        if (options.refcount_bits != 16) return Error("refcount_bits: compat=0.10 has only 16");
        if (options.lazy_refcounts) return Error("lazy_refcounts: needs compat=1.1");
        if (options.extended_l2) return Error("extended_l2: needs compat=1.1");
        if (!options.data_file.empty()) return Error("data_file: needs compat=1.1");
        if (options.compression != Compression::kZlib)
            return Error("compression_type: compat=0.10 has only zlib");
    }
    if (options.extended_l2 && options.cluster_size < (1u << 14))
        return Error("extended_l2: expected cluster_size of at least 16K");
    if (options.raw_data_file && options.data_file.empty())
        return Error("data_file_raw: needs data_file");
    if (options.raw_data_file && options.backing)
        return Error("data_file_raw: expected no backing file");
    return {};
}

Qcow2Header header_of(const Qcow2CreateOptions& options) {
    Qcow2Header header;
    header.version = options.version;
    header.cluster_bits = static_cast<uint32_t>(std::countr_zero(options.cluster_size));
    header.size = options.size;
    header.refcount_order = static_cast<uint32_t>(std::countr_zero(options.refcount_bits));
    header.compression = options.compression;
    if (options.lazy_refcounts) header.compatible |= kLazyRefcounts;
    if (options.extended_l2) header.incompatible |= kExtendedL2;
    if (options.compression != Compression::kZlib) header.incompatible |= kCompressionType;
    if (!options.data_file.empty()) header.incompatible |= kExternalData;
    if (options.raw_data_file) header.autoclear |= kRawExternalData;
    header.data_file = options.data_file;
    header.backing = options.backing;
    return header;
}

}  // namespace

// Header, table of reference counts, its first block, first level: one behind the other.
Result<void> Qcow2Image::create(ImageFile& file, const Qcow2CreateOptions& options) {
    TRY(check_options(options));
    Qcow2Header header = header_of(options);
    const uint64_t size = header.cluster_size();
    const uint64_t entries = header.l1_entries_for(options.size);
    if (options.size > uint64_t{INT64_MAX} - size || entries > kMaxL1Bytes / 8)
        return Error(fmt::format("size: {} bytes are too much for clusters of {} bytes",
                                 options.size, size));
    const uint64_t l1_clusters = (std::max<uint64_t>(entries, 1) * 8 + size - 1) / size;
    header.refcount_table_offset = size;
    header.refcount_table_clusters = 1;
    header.l1_entries = static_cast<uint32_t>(entries);
    // All of it at once where one block can count it; else without a first level, which is then
    // put where there is room.
    const bool together = 3 + l1_clusters <= header.refcounts_per_block();
    header.l1_offset = together ? 3 * size : 0;
    if (!together) header.l1_entries = 0, header.size = 0;
    std::vector<std::byte> bytes = TRY(header.serialize());
    bytes.resize((together ? 3 + l1_clusters : 3) * size);
    store_big<uint64_t>(&bytes[size], 2 * size);
    {
        // The block's counts, with the code that knows all widths.
        const uint64_t used = bytes.size() / size;
        const uint32_t bits = header.refcount_bits();
        for (uint64_t i = 0; i < used; ++i) {
            std::byte* block = &bytes[2 * size];
            if (bits >= 8)
                block[(i + 1) * bits / 8 - 1] = std::byte{1};
            else
                block[i * bits / 8] |= static_cast<std::byte>(1u << (i * bits % 8));
        }
    }
    TRY(expect_ok(file, "written", file.write_bytes(0, bytes)));
    TRY(expect_ok(file, "written", file.flush()));
    if (together) return {};
    // Grow it as any image grows.
    class Borrowed final : public ImageFile {
      public:
        explicit Borrowed(ImageFile& target) : file_(target) {}
        const std::string& name() const override { return file_.name(); }
        bool read_only() const override { return false; }
        uint64_t size() const override { return file_.size(); }
        BlockStatus read(uint64_t o, std::span<const Slice> s) override { return file_.read(o, s); }
        BlockStatus write(uint64_t o, std::span<const Slice> s) override {
            return file_.write(o, s);
        }
        BlockStatus flush() override { return file_.flush(); }
        BlockStatus discard(uint64_t o, uint64_t s) override { return file_.discard(o, s); }
        BlockStatus write_zeroes(uint64_t o, uint64_t s, bool u) override {
            return file_.write_zeroes(o, s, u);
        }
        BlockStatus truncate(uint64_t s) override { return file_.truncate(s); }

      private:
        ImageFile& file_;
    };
    OpenOptions open_options;
    if (!options.data_file.empty()) open_options.data_file = std::make_unique<Borrowed>(file);
    auto image = TRY(open(std::make_unique<Borrowed>(file), std::move(open_options)));
    std::vector<uint64_t> l1(entries);
    TRY(image->replace_l1(std::move(l1)));
    image->header_.size = image->size_ = options.size;
    std::byte field[8];
    store_big<uint64_t>(field, options.size);
    TRY(expect_ok(file, "written", file.write_bytes(kSizeField, field)));
    return expect_ok(file, "written", image->flush());
}

}  // namespace mynah
