#pragma once

#include <map>
#include <vector>

#include "backend/block/vhdx/vhdx_format.h"

namespace mynah {

// The log of a VHDX image [MS-VHDX 2.3]: changes of metadata go there first, and a crash after that
// is mended by doing them again. A ring of sectors of 4 KiB; an entry is a run of them.
class VhdxLog {
  public:
    VhdxLog(ImageFile& file, const vhdx::Header& header);

    // Does what the log says and was perhaps not done. Error: the log is damaged in its middle, so
    // that the image cannot be used.
    Result<void> replay(bool& changed);
    // The same for an image that may only be read: sectors as they ought to be, by their place.
    using Sectors = std::map<uint64_t, std::vector<std::byte>>;
    Result<Sectors> pending();

    // Writes sectors (of 4 KiB, at multiples of that) as one entry; not flushed. kNoSpace: more
    // than one entry holds.
    BlockStatus append(const Sectors& sectors);
    size_t max_sectors() const;
    void restart(const vhdx::Guid& id) { id_ = id, next_ = 0, sequence_ = 1; }

  private:
    struct Entry {
        uint64_t sequence = 0, at = 0, length = 0, tail = 0;
        uint64_t file_end = 0;  // the file must be at least so long
        uint64_t last_file_offset = 0;
        std::vector<std::byte> bytes;
    };
    BlockStatus read_ring(uint64_t at, std::span<std::byte> to);
    BlockStatus read_entry(uint64_t at, Entry& entry, bool& valid);
    BlockStatus active_entries(std::vector<Entry>& entries);
    bool collect(const Entry& entry, Sectors& sectors, uint64_t& zeroed);

    ImageFile& file_;
    vhdx::Guid id_;
    const uint64_t offset_, length_;
    uint64_t looked_at_ = 0;  // bytes of possible entries
    uint64_t next_ = 0;      // where the next entry goes
    uint64_t sequence_ = 1;  // its number
};

}  // namespace mynah
