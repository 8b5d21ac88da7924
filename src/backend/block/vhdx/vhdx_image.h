#pragma once

#include <memory>
#include <set>
#include <vector>

#include "backend/block/image/block_table_image.h"
#include "backend/block/vhdx/vhdx_format.h"
#include "backend/block/vhdx/vhdx_log.h"

namespace mynah {

struct VhdxCreateOptions {
    uint64_t size = 0;
    uint64_t block_size = 0;  // 0: by the size of the disk
    bool fixed = false;
    std::optional<BackingReference> backing;
    std::string parent_linkage;  // of that image: its content_id()
};

// A VHDX image [MS-VHDX]: dynamic, fixed and differencing. The log is replayed when it is opened,
// and written before the block table. A differencing image's new blocks are copied whole.
class VhdxImage final : public BlockTableImage {
  public:
    static Result<std::unique_ptr<VhdxImage>> open(std::unique_ptr<ImageFile> file);
    static Result<void> create(ImageFile& file, const VhdxCreateOptions& options);
    ~VhdxImage() override;

    const char* format() const override { return "vhdx"; }
    std::vector<std::pair<std::string, std::string>> details() const override;
    std::optional<BackingReference> backing_reference() const override;
    Result<void> check_backing(DiskImage& backing) override;
    std::string content_id() const override { return vhdx::text_of(header_.data_write); }
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;

  private:
    VhdxImage(std::unique_ptr<ImageFile> file, const vhdx::Header& header, unsigned which,
              const vhdx::Metadata& metadata, const vhdx::Region& table);
    Result<void> load(const VhdxLog::Sectors& pending);
    uint64_t entry_index(uint64_t block) const { return block + block / chunk_ratio_; }
    BlockStatus find_block(uint64_t block, Place& place) override;
    BlockStatus allocate_block(uint64_t& offset) override;
    BlockStatus link_block(uint64_t block, uint64_t offset) override;
    BlockStatus write_tables() override;
    BlockStatus prepare_write() override;
    BlockStatus map_partial(const Place& place, uint64_t block, uint64_t within, uint64_t size,
                            ImageExtent& extent) override;
    BlockStatus update_header();

    vhdx::Header header_;
    unsigned which_;  // of the two headers is the newer
    const vhdx::Metadata metadata_;
    const vhdx::Region region_;
    const uint64_t chunk_ratio_;
    VhdxLog log_;
    std::vector<uint64_t> table_;  // with the entries of sector bitmaps
    std::set<uint64_t> changed_;   // sectors of the table, by number
    uint64_t end_ = 0;
    bool writing_ = false;  // the header has a log of ours
};

}  // namespace mynah
