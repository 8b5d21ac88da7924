#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "backend/block/image/disk_image.h"

namespace mynah {

// What VDI, dynamic VHD, VHDX and sparse VMDK have in common: the disk is cut into blocks of one
// size, a table says where each lies in the file, and new ones are put at the file's end.
//
// A crash finds a block's content on the medium before the table says where it is: flush() writes
// out data first, then tables.
class BlockTableImage : public DiskImage {
  public:
    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override;
    BlockStatus flush() override;
    bool has_unwritten_tables() const override { return tables_changed_; }
    ImageFile& file() const override { return *file_; }
    uint64_t cluster_size() const override { return block_size_; }

  protected:
    struct Place {
        enum class Kind : uint8_t {
            kNone,     // in the backing image, or zeroes
            kZero,
            kData,     // at `offset`
            kPartial,  // some of it at `offset`, some in the backing image: see map_partial()
        };
        Kind kind = Kind::kNone;
        uint64_t offset = 0;
    };

    BlockTableImage(std::unique_ptr<ImageFile> file, uint64_t size, uint64_t block_size);

    // Where a block of the disk is, as its table (in memory or not) says. Several threads at once.
    virtual BlockStatus find_block(uint64_t block, Place& place) = 0;
    // Room for one more; its content is not defined.
    virtual BlockStatus allocate_block(uint64_t& offset) = 0;
    // The block is complete at this place now; for the table in memory.
    virtual BlockStatus link_block(uint64_t block, uint64_t offset) = 0;
    // What was linked goes to the file. All contents are on the medium.
    virtual BlockStatus write_tables() = 0;
    // Before anything is written for the first time.
    virtual BlockStatus prepare_write() { return BlockStatus::kOk; }
    // Like map(), within one block of kind kPartial.
    virtual BlockStatus map_partial(const Place& place, uint64_t block, uint64_t within,
                                    uint64_t size, ImageExtent& extent);
    BlockStatus damaged(const char* what, uint64_t number) const;
    void note_table_change() { tables_changed_ = true; }
    // Before that nothing may be written, not even in place.
    bool prepared() const { return prepared_; }

    const std::unique_ptr<ImageFile> file_;
    const uint64_t block_size_;

  private:
    BlockStatus write_block(uint64_t block, uint64_t within, std::span<const std::byte> from);
    BlockStatus clear_block(uint64_t block, uint64_t at, uint64_t written, bool below);
    BlockStatus fill_block(uint64_t block, uint64_t to, bool missing_only);

    bool tables_changed_ = false;
    bool prepared_ = false;
    std::optional<uint64_t> spare_;  // allocated, and not linked as the write failed
};

}  // namespace mynah
