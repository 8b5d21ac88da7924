#pragma once

#include <memory>
#include <vector>

#include "backend/block/image/block_table_image.h"
#include "backend/block/qcow2/table_cache.h"
#include "base/mutex.h"

namespace mynah {

struct VmdkSparseOptions {
    uint64_t size = 0;
    bool stream = false;          // stream optimised: each grain packed, written in order, once
    std::string descriptor;       // embedded; empty: none
};

// A sparse extent of a VMDK image [VMDK, "Hosted Sparse Extents"]: a header, two copies of a
// directory of tables of grains, and grains; little-endian. Stream-optimised extents can be read,
// and written from the front to the back (by `mynah image convert`).
class VmdkSparseExtent final : public BlockTableImage {
  public:
    static Result<std::unique_ptr<VmdkSparseExtent>> open(std::unique_ptr<ImageFile> file);
    static Result<void> create(ImageFile& file, const VmdkSparseOptions& options);
    ~VmdkSparseExtent() override;

    const char* format() const override { return "vmdk"; }
    const std::string& descriptor() const { return descriptor_; }
    bool compressed() const { return compressed_; }

    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus read_encoded(uint64_t offset, std::span<std::byte> to) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override;
    BlockStatus write_compressed(uint64_t offset, std::span<const std::byte> from) override;
    bool can_compress() const override { return compressed_; }
    BlockStatus flush() override;
    bool has_unwritten_tables() const override {
        return streaming_ || BlockTableImage::has_unwritten_tables();
    }
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;

  private:
    struct Header {
        uint32_t version = 1, flags = 3;
        uint64_t capacity = 0, grain = 128;            // sectors
        uint64_t descriptor_at = 0, descriptor_size = 0;
        uint32_t table_entries = 512;
        uint64_t redundant_directory = 0, directory = 0, overhead = 0;
        uint16_t compression = 0;
    };
    static Result<Header> parse(ImageFile& file, std::span<const std::byte> bytes);
    static std::vector<std::byte> serialize(const Header& header);

    VmdkSparseExtent(std::unique_ptr<ImageFile> file, const Header& header);
    Result<void> load();
    BlockStatus find_block(uint64_t block, Place& place) override;
    BlockStatus allocate_block(uint64_t& offset) override;
    BlockStatus link_block(uint64_t block, uint64_t offset) override;
    BlockStatus write_tables() override;
    BlockStatus table_entry(uint64_t block, uint32_t& sector);
    BlockStatus finish_stream();

    Header header_;
    bool compressed_ = false;
    std::string descriptor_;
    std::vector<uint32_t> directory_, redundant_;
    uint64_t end_ = 0;  // where the next grain goes
    bool streaming_ = false;  // packed grains were written and the end was not
    std::vector<uint32_t> stream_table_;  // of all grains, while streaming

    Mutex lookup_lock_;  // readers share the cache
    TableCache tables_;
    std::vector<uint64_t> new_tables_;  // directory entries that are not in the file yet
    uint64_t unpacked_sector_ = 0;
    std::vector<std::byte> unpacked_;
};

}  // namespace mynah
