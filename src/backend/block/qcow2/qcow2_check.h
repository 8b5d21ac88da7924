#pragma once

#include <unordered_set>
#include <vector>

#include "backend/block/qcow2/qcow2_image.h"

namespace mynah {

// Looks at everything in a qcow2 image: counts what is used, compares with the reference counts,
// and puts right what can be. One object, one look.
class Qcow2Check {
  public:
    explicit Qcow2Check(Qcow2Image& image) : image_(image), header_(image.header_) {}
    CheckReport run(Repair repair);

  private:
    void count_all();
    void use(uint64_t offset, uint64_t bytes, const char* what);
    void count_refcounts();
    void count_table(const std::vector<uint64_t>& l1, bool active);
    void count_entry(const Qcow2Image::Entry& entry, bool active);
    void count_snapshots();
    void count_bitmaps();
    void count_bitmap_table(uint64_t offset, uint64_t entries);
    void compare();
    void compare_one(uint64_t cluster);
    BlockStatus repair_blocks();
    void repair(Repair how);
    bool out_of_patience(uint64_t entries);
    void corrupt(std::string text);
    void flag_wrong(std::string text);

    Qcow2Image& image_;
    const Qcow2Header& header_;
    uint64_t file_clusters_ = 0;
    uint64_t looked_at_ = 0;
    std::vector<uint32_t> uses_;  // of each cluster of the file
    Repair repair_ = Repair::kNothing;
    bool blocks_bad_ = false;
    uint64_t flags_wrong_ = 0;
    CheckReport report_;
};

}  // namespace mynah
