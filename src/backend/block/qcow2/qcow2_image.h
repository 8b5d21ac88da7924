#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/block/image/disk_image.h"
#include "backend/block/qcow2/qcow2_header.h"
#include "backend/block/qcow2/qcow2_refcounts.h"
#include "backend/block/qcow2/table_cache.h"
#include "base/mutex.h"

namespace mynah {

struct Qcow2CreateOptions {
    uint64_t size = 0;
    uint32_t version = 3;
    uint64_t cluster_size = 64 * 1024;
    uint32_t refcount_bits = 16;
    bool lazy_refcounts = false;
    bool extended_l2 = false;
    qcow2::Compression compression = qcow2::Compression::kZlib;
    std::optional<BackingReference> backing;
    std::string data_file;  // name as it is to be recorded; the file exists
    bool raw_data_file = false;
};

// A qcow2 image, versions 2 and 3 [qcow2]. Not modelled: encryption (refused), and keeping
// persistent dirty bitmaps up to date (those that ought to be are marked as not to be trusted at
// the first write, as the specification has it for a program that was not shut down in order).
//
// Lazy reference counts are counted at once all the same: the feature permits to be late.
class Qcow2Image final : public DiskImage {
  public:
    struct OpenOptions {
        bool check_only = false;  // leave a dirty image as it is, to look at it
        std::unique_ptr<ImageFile> data_file;  // if the header names one
        bool discard_unused = true;  // freed clusters lose their storage
    };
    // Error: what is wrong. A writable image that was not closed in order is repaired.
    static Result<std::unique_ptr<Qcow2Image>> open(std::unique_ptr<ImageFile> file,
                                                    OpenOptions options);
    // Writes a new image into an empty file. Error: which option cannot be.
    static Result<void> create(ImageFile& file, const Qcow2CreateOptions& options);
    ~Qcow2Image() override;

    const char* format() const override { return "qcow2"; }
    ImageFile& file() const override { return *file_; }
    uint64_t cluster_size() const override { return header_.cluster_size(); }
    std::vector<std::pair<std::string, std::string>> details() const override;
    const Qcow2Header& header() const { return header_; }

    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus read_encoded(uint64_t offset, std::span<std::byte> to) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override;
    BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) override;
    BlockStatus discard(uint64_t offset, uint64_t size) override;
    BlockStatus write_compressed(uint64_t offset, std::span<const std::byte> from) override;
    bool can_compress() const override { return !header_.external_data(); }
    BlockStatus flush() override;
    bool has_unwritten_tables() const override;
    Result<void> resize(uint64_t new_size) override;
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;
    std::vector<ImageSnapshot> snapshots() const override;
    Result<void> create_snapshot(const std::string& name, uint32_t date_seconds) override;
    Result<void> apply_snapshot(const std::string& id_or_name) override;
    Result<void> delete_snapshot(const std::string& id_or_name) override;
    Result<void> view_snapshot(const std::string& id_or_name) override;
    Result<void> make_empty() override;
    std::optional<BackingReference> backing_reference() const override { return header_.backing; }
    Result<void> set_backing_reference(const std::optional<BackingReference>& backing) override;

  private:
    friend class Qcow2Check;

    // What an entry of the second level says of one (sub)cluster.
    enum class State : uint8_t { kNothing, kZero, kData, kCompressed, kDamaged };
    struct Entry {
        uint64_t value = 0;
        uint64_t bitmap = 0;  // with extended L2: low half allocated, high half zero
        uint64_t host() const { return value & qcow2::kOffsetMask; }
        bool compressed() const { return (value & qcow2::kCompressed) != 0; }
        bool copied() const { return (value & qcow2::kCopied) != 0; }
    };
    struct Snapshot {
        ImageSnapshot facts;
        uint64_t l1_offset = 0;
        uint32_t l1_entries = 0;
        std::vector<std::byte> extra;  // as in the file
    };
    struct CompressedPlace {
        uint64_t offset, size;  // size in whole sectors: at least what is packed
    };

    Qcow2Image(std::unique_ptr<ImageFile> file, Qcow2Header header, OpenOptions options);
    Result<void> load();
    Result<void> make_ready();

    // Places.
    uint64_t table_span() const { return header_.l2_entries() << header_.cluster_bits; }
    uint64_t entry_index(uint64_t offset) const {
        return (offset >> header_.cluster_bits) % header_.l2_entries();
    }
    uint64_t in_cluster(uint64_t offset) const { return offset & (cluster_size() - 1); }
    ImageFile& data() const { return data_file_ ? *data_file_ : *file_; }
    bool valid_table(uint64_t l1_entry) const;
    bool overlaps_tables(uint64_t host_offset, uint64_t size) const;
    Entry entry_at(const TableCache::Table& table, uint64_t index) const;
    void set_entry(TableCache::Table& table, uint64_t index, Entry entry);
    State state_of(const Entry& entry, uint64_t subcluster) const;
    bool has_host_cluster(const Entry& entry) const;
    CompressedPlace compressed_place(uint64_t entry) const;
    BlockStatus damaged(const char* what, uint64_t where) const;
    BlockStatus entry_for(uint64_t offset, Entry& entry);
    BlockStatus read_compressed(const Entry& entry, std::span<std::byte> cluster);

    // Changing.
    BlockStatus before_change();
    BlockStatus table_for_write(uint64_t l1_index, TableCache::Table*& table);
    BlockStatus write_allocating(uint64_t offset, std::span<const std::byte> from, uint64_t& done);
    BlockStatus write_run(TableCache::Table& table, uint64_t offset,
                          std::span<const std::byte> from, uint64_t clusters);
    BlockStatus write_padded(uint64_t offset, std::span<const std::byte> from, uint64_t start,
                             uint64_t end, uint64_t host);
    void free_entry(const Entry& entry);
    BlockStatus clear_clusters(uint64_t offset, uint64_t clusters, bool zero, bool may_unmap,
                               bool bare = false);
    BlockStatus zero_part(uint64_t offset, uint64_t size);
    BlockStatus allocate_compressed(uint64_t size, uint64_t& offset);
    BlockStatus commit();
    BlockStatus write_l1();
    BlockStatus write_header();
    BlockStatus write_feature_bits();
    Result<void> replace_l1(std::vector<uint64_t> l1);
    Result<void> shrink(uint64_t new_size);
    BlockStatus distrust_bitmaps();
    BlockStatus clear_tail(uint64_t new_size);

    // Snapshots.
    Result<void> load_snapshots();
    BlockStatus write_snapshots(std::vector<Snapshot> wanted);
    Result<size_t> find_snapshot(const std::string& id_or_name) const;
    BlockStatus read_l1(uint64_t offset, uint64_t entries, std::vector<uint64_t>& l1);
    enum class Change : uint8_t { kRaise, kLower };
    BlockStatus change_uses(const std::vector<uint64_t>& l1, Change change);
    BlockStatus change_entry_uses(const Entry& entry, Change change);
    BlockStatus refresh_copied();
    BlockStatus set_dirty(bool dirty);

    const std::unique_ptr<ImageFile> file_;
    const std::unique_ptr<ImageFile> data_file_;
    Qcow2Header header_;
    const OpenOptions options_;
    std::vector<uint64_t> l1_;
    size_t l1_first_ = SIZE_MAX, l1_end_ = 0;  // entries changed
    Qcow2Refcounts refcounts_;
    std::vector<Snapshot> snapshots_;
    bool bitmaps_distrusted_ = false;
    bool header_changed_ = false;
    uint64_t compressed_next_ = 0;  // where the next packed cluster may begin; 0: nowhere

    // Readers share these.
    mutable Mutex lookup_lock_;
    TableCache tables_;
    uint64_t unpacked_entry_ = 0;  // what unpacked_ was made of
    std::vector<std::byte> unpacked_;
};

}  // namespace mynah
