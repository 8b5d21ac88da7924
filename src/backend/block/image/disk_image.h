#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/block/image/image_file.h"

namespace mynah {

class DiskImage;

// Where the bytes of a piece of the disk are.
struct ImageExtent {
    enum class Kind : uint8_t {
        kData,     // in `file` at `file_offset`, as they are
        kZero,     // nowhere: they are zeroes
        kBacking,  // this image says nothing: in the backing image, or zeroes without one
        kEncoded,  // to be had by read_encoded() only
    };
    Kind kind = Kind::kZero;
    bool in_place = false;  // kData: may be overwritten where it is
    uint64_t size = 0;      // bytes; at least one, at most what was asked for
    ImageFile* file = nullptr;
    uint64_t file_offset = 0;
};

// What an image says it is backed by.
struct BackingReference {
    std::string path;    // as written in the image; relative to the image's directory
    std::string format;  // empty: not recorded
};

struct ImageSnapshot {
    std::string id, name;
    uint64_t vm_state_size = 0;
    uint32_t date_seconds = 0, date_nanoseconds = 0;
    uint64_t vm_clock_ns = 0;
    uint64_t disk_size = 0;
};

struct CheckReport {
    uint64_t corruptions = 0, corruptions_fixed = 0;
    uint64_t leaks = 0, leaks_fixed = 0;
    uint64_t check_errors = 0;  // what could not be looked at
    uint64_t total_clusters = 0, allocated_clusters = 0, compressed_clusters = 0;
    uint64_t image_end_offset = 0;
    std::vector<std::string> messages;  // at most kMaxMessages
    static constexpr size_t kMaxMessages = 50;
    void say(std::string text) {
        if (messages.size() < kMaxMessages) messages.push_back(std::move(text));
    }
    bool clean() const { return corruptions == 0 && leaks == 0 && check_errors == 0; }
};

enum class Repair : uint8_t { kNothing, kLeaks, kAll };

// A disk as an image format describes it, over one ImageFile or several, and perhaps over another
// image of which it holds the differences.
//
// Who validates what:
//   - the caller: that a range lies within the disk (size()). Offsets and sizes may be odd.
//   - the format: everything that is read from the file. An image may have been made to do harm:
//     a number from it is checked before it is an index, an offset, a loop's bound or a size of
//     memory. What is wrong in the parts every use needs is an Error at opening; what is wrong in a
//     place that is only met later is BlockStatus::kIoError there and one line in the log.
//   - nobody: the contents.
// Where an image says that a piece of it lies in some other place of its own file, two such
// pieces may overlap: then the image's content is odd, and nothing else.
//
// Threads: map(), read() and read_encoded() may be called by several threads at once as long as
// nothing else is; everything that changes the image needs it alone.
//
// Crashes: what was written before flush() returned kOk is there, whatever was written of what
// came later; and the image is consistent (check() finds no corruption; leaks are allowed).
// Formats keep their tables in memory and write them in flush(), in an order that guarantees it.
class DiskImage {
  public:
    virtual ~DiskImage() = default;
    DiskImage(const DiskImage&) = delete;
    DiskImage& operator=(const DiskImage&) = delete;

    virtual const char* format() const = 0;  // its name as options have it: "qcow2"
    virtual ImageFile& file() const = 0;     // the one that was named when it was opened
    uint64_t size() const { return size_; }  // bytes of the disk
    // What is allocated at a time, bytes; 0: the format has no such unit.
    virtual uint64_t cluster_size() const { return 0; }
    virtual bool read_only() const { return file().read_only(); }
    // Facts people want to know, for `mynah image info`.
    virtual std::vector<std::pair<std::string, std::string>> details() const { return {}; }

    // What is at `offset`; `size` at least 1.
    virtual BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) = 0;
    // A range within one extent of kind kEncoded.
    virtual BlockStatus read_encoded(uint64_t offset, std::span<std::byte> to);
    // Writes anywhere, allocating as needed.
    virtual BlockStatus write(uint64_t offset, std::span<const std::byte> from) = 0;
    virtual BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap);
    virtual BlockStatus discard(uint64_t offset, uint64_t size);
    // One cluster (the last may be shorter), that was not written before, compressed.
    virtual BlockStatus write_compressed(uint64_t offset, std::span<const std::byte> from);
    virtual bool can_compress() const { return false; }
    // In order and onto the medium.
    virtual BlockStatus flush() = 0;
    // False: flush() would do no more than flush the file.
    virtual bool has_unwritten_tables() const { return true; }

    virtual Result<void> resize(uint64_t new_size);
    virtual bool can_check() const { return false; }
    virtual CheckReport check(Repair repair);

    virtual std::vector<ImageSnapshot> snapshots() const { return {}; }
    virtual Result<void> create_snapshot(const std::string& name, uint32_t date_seconds);
    virtual Result<void> apply_snapshot(const std::string& id_or_name);
    virtual Result<void> delete_snapshot(const std::string& id_or_name);

    // The disk becomes what it was then, for reading: the image must be open read-only.
    virtual Result<void> view_snapshot(const std::string& id_or_name);
    // Forgets all it has over its backing image.
    virtual Result<void> make_empty();

    // What it is backed by as the image says, and the image itself once somebody set it.
    virtual std::optional<BackingReference> backing_reference() const { return std::nullopt; }
    virtual Result<void> set_backing_reference(const std::optional<BackingReference>& backing);
    DiskImage* backing() const { return backing_.get(); }
    void set_backing(std::unique_ptr<DiskImage> backing) { backing_ = std::move(backing); }
    // A format may demand that the backing image is the one it was made over.
    virtual Result<void> check_backing(DiskImage&) { return {}; }
    virtual std::string content_id() const { return {}; }  // what check_backing compares

    // Reads through the whole chain.
    BlockStatus read(uint64_t offset, std::span<const Slice> to);
    BlockStatus read_bytes(uint64_t offset, std::span<std::byte> to) {
        const Slice slice(to);
        return read(offset, std::span(&slice, 1));
    }
    // As map(), but answered by the layer that has the bytes: never kBacking. `layer` may be null.
    BlockStatus map_chain(uint64_t offset, uint64_t size, ImageExtent& extent, DiskImage** layer);

  protected:
    explicit DiskImage(uint64_t size) : size_(size) {}
    // For the destructors of images with tables; false, and a line in the log: something is lost
    // that the guest did not flush.
    bool flush_at_end();
    // Bytes that this image does not have, from the layers below.
    BlockStatus read_backing(uint64_t offset, std::span<const Slice> to);
    // No layer below has anything but zeroes there.
    bool backing_is_zero(uint64_t offset, uint64_t size);
    Error cannot(std::string_view what) const;

    uint64_t size_;

  private:
    std::unique_ptr<DiskImage> backing_;
};

}  // namespace mynah
