#include "device/storage/nvme_memory.h"

#include <algorithm>
#include <array>

#include "spec/nvme/commands.h"

namespace mynah {

using namespace nvme;

namespace {

// The entries of a PRP list from wherever they lie. The last entry of a page leads to the next
// page, if more entries are needed than are left [NVMe 4.3].
class PrpList {
  public:
    PrpList(const DmaView& memory, uint64_t at) : memory_(memory), at_(at) {}

    // `more`: entries needed after this one. An NVMe status.
    uint16_t next(uint64_t more, uint64_t& entry) {
        const bool at_end = at_ % kPage == kPage - sizeof entry;
        if (const uint16_t status = load(entry); status != status::kSuccess) return status;
        if (!at_end || more == 0) return status::kSuccess;
        at_ = entry;
        if (at_ % kPage != 0) return status::kInvalidPrpOffset;
        filled_ = used_ = 0;
        return load(entry);
    }

  private:
    uint16_t load(uint64_t& entry) {
        if (used_ == filled_) {
            const uint64_t left = (kPage - at_ % kPage) / sizeof entry;
            filled_ = static_cast<size_t>(std::min<uint64_t>(left, chunk_.size()));
            used_ = 0;
            const auto part = std::span(chunk_).first(filled_);
            if (!memory_.read(GuestPhys(at_), std::as_writable_bytes(part))) {
                return status::kDataTransferError;
            }
        }
        entry = chunk_[used_++];
        at_ += sizeof entry;
        return status::kSuccess;
    }

    const DmaView& memory_;
    uint64_t at_;
    std::array<uint64_t, 32> chunk_;
    size_t filled_ = 0, used_ = 0;
};

}  // namespace

uint16_t gather_prps(const DmaView& memory, uint64_t prp1, uint64_t prp2, uint64_t size,
                     SliceList& to, DmaUse use) {
    if (prp1 % 4 != 0) return status::kInvalidPrpOffset;
    const uint64_t first = std::min(size, kPage - prp1 % kPage);
    if (!memory.slices(GuestPhys(prp1), first, to, use)) return status::kDataTransferError;
    uint64_t left = size - first;
    if (left == 0) return status::kSuccess;
    if (left <= kPage) {
        if (prp2 % kPage != 0) return status::kInvalidPrpOffset;
        return memory.slices(GuestPhys(prp2), left, to, use) ? status::kSuccess
                                                             : status::kDataTransferError;
    }
    if (prp2 % 8 != 0) return status::kInvalidPrpOffset;
    PrpList list(memory, prp2);
    while (left > 0) {
        const uint64_t part = std::min(left, kPage);
        const uint64_t more = (left - part + kPage - 1) / kPage;
        uint64_t entry = 0;
        const uint16_t status = list.next(more, entry);
        if (status != status::kSuccess) return status;
        if (entry % kPage != 0) return status::kInvalidPrpOffset;
        if (!memory.slices(GuestPhys(entry), part, to, use)) return status::kDataTransferError;
        left -= part;
    }
    return status::kSuccess;
}

}  // namespace mynah
