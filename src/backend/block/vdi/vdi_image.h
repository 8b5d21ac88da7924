#pragma once

#include <memory>
#include <vector>

#include "backend/block/image/block_table_image.h"

namespace mynah {

// VirtualBox's disk image [VDI], version 1.1, dynamic and fixed. Not modelled: differencing images
// (refused).
class VdiImage final : public BlockTableImage {
  public:
    static Result<std::unique_ptr<VdiImage>> open(std::unique_ptr<ImageFile> file);
    // Writes a new one into an empty file; `fixed`: all blocks have their place from the start.
    static Result<void> create(ImageFile& file, uint64_t size, bool fixed);
    ~VdiImage() override;

    const char* format() const override { return "vdi"; }
    Result<void> resize(uint64_t new_size) override;
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;

  private:
    VdiImage(std::unique_ptr<ImageFile> file, uint64_t size, uint64_t block_size);
    Result<void> load(std::span<const std::byte> header);
    BlockStatus find_block(uint64_t block, Place& place) override;
    BlockStatus allocate_block(uint64_t& offset) override;
    BlockStatus link_block(uint64_t block, uint64_t offset) override;
    BlockStatus write_tables() override;

    uint64_t table_offset_ = 0, data_offset_ = 0;
    std::vector<uint32_t> table_;
    uint32_t allocated_ = 0;         // as the header says: places from here on were never used
    std::vector<uint32_t> unused_;   // places below that which nobody refers to
    size_t changed_first_ = SIZE_MAX, changed_end_ = 0;
    bool count_changed_ = false;
};

}  // namespace mynah
