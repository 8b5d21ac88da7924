#include "backend/vhost/vhost_memory.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

namespace mynah {

using namespace vhost_user;

// --- regions ---

Result<VhostMemory::Proposal> VhostMemory::propose(std::vector<Region> regions) const {
    Proposal proposal;
    std::vector<GuestMemory::Foreign> foreign;
    for (const Region& region : regions) {
        if (region.where.user_address + region.where.size < region.where.user_address)
            return Error("a region of memory that wraps around");
        foreign.push_back({GuestPhys{region.where.guest_address}, region.where.size,
                           region.fd.get(), region.where.mmap_offset});
    }
    if (!foreign.empty()) proposal.memory = TRY(GuestMemory::adopt(std::move(foreign)));
    proposal.regions = std::move(regions);
    return proposal;
}

Result<VhostMemory::Proposal> VhostMemory::table(VhostUserMessage& message) const {
    const auto count = message.front<uint32_t>();
    if (!count || *count == 0 || *count > kMaxTableRegions ||
        message.size != kMemoryTableHeader + *count * sizeof(MemoryRegion) ||
        message.fds.size() != *count) {
        return Error("a table of memory that contradicts itself");
    }
    MemoryTable table{};
    std::memcpy(&table, message.payload.data(), message.size);
    std::vector<Region> regions;
    for (uint32_t i = 0; i < *count; ++i)
        regions.push_back({table.regions[i], std::move(message.fds[i])});
    return propose(std::move(regions));
}

// Those of the regions there are that are wanted, each with a descriptor of its own.
Result<std::vector<VhostMemory::Region>> VhostMemory::copy_if(
    const std::function<bool(const MemoryRegion&)>& wanted) const {
    std::vector<Region> copies;
    for (const Region& region : regions_) {
        if (!wanted(region.where)) continue;
        Fd copy(fcntl(region.fd.get(), F_DUPFD_CLOEXEC, 0));
        if (!copy.valid()) return Error("no descriptor is left");
        copies.push_back({region.where, std::move(copy)});
    }
    return copies;
}

Result<VhostMemory::Proposal> VhostMemory::with(VhostUserMessage& message) const {
    const auto slot = message.as<SingleRegion>();
    if (!slot || message.fds.size() != 1)
        return Error("a region of memory that contradicts itself");
    return with(slot->region, std::move(message.fds[0]));
}

Result<VhostMemory::Proposal> VhostMemory::with(const MemoryRegion& where, Fd fd) const {
    if (regions_.size() >= kMaxSlots) return Error("more regions of memory than there are slots");
    auto regions = TRY(copy_if([](const MemoryRegion&) { return true; }));
    regions.push_back({where, std::move(fd)});
    return propose(std::move(regions));
}

// A front end may send a descriptor along, which says nothing ["VHOST_USER_REM_MEM_REG"].
Result<VhostMemory::Proposal> VhostMemory::without(const VhostUserMessage& message) const {
    const auto slot = message.as<SingleRegion>();
    if (!slot) return Error("a region of memory that contradicts itself");
    auto rest = TRY(copy_if([&](const MemoryRegion& each) {
        return each.guest_address != slot->region.guest_address ||
               each.user_address != slot->region.user_address || each.size != slot->region.size;
    }));
    if (rest.size() == regions_.size()) return Error("a region of memory that was never given");
    return propose(std::move(rest));
}

Result<VhostMemory::Proposal> VhostMemory::without(uint64_t guest_address, uint64_t size) const {
    bool cut = false;
    auto rest = TRY(copy_if([&](const MemoryRegion& each) {
        const uint64_t begin = each.guest_address, end = begin + each.size;
        // Where the range ends may be the end of all addresses.
        const uint64_t last = guest_address + size - 1;
        const bool apart = end <= guest_address || begin > last;
        const bool inside = begin >= guest_address && end - 1 <= last;
        cut |= !apart && !inside;
        return apart;
    }));
    if (size == 0 || guest_address + size - 1 < guest_address || cut)
        return Error("a range that cuts through a region of memory, or wraps around");
    return propose(std::move(rest));
}

void VhostMemory::accept(Proposal proposal) {
    writes_.reset();
    memory_ = std::move(proposal.memory);
    regions_ = std::move(proposal.regions);
    if (memory_) writes_ = std::make_unique<Writes>(*memory_);
    update_log();
}

std::optional<GuestPhys> VhostMemory::translate(uint64_t user_address) const {
    for (const Region& region : regions_) {
        const uint64_t offset = user_address - region.where.user_address;
        if (user_address >= region.where.user_address && offset < region.where.size)
            return GuestPhys{region.where.guest_address + offset};
    }
    return std::nullopt;
}

// --- the log ---

void VhostMemory::set_log(std::unique_ptr<VhostLog> log) {
    // The old one is unmapped when no writer knows it any more.
    log_.swap(log);
    has_log_ = log_ != nullptr;
    update_log();
}

void VhostMemory::log_writes(bool on) {
    logging_ = on;
    update_log();
}

void VhostMemory::update_log() {
    if (writes_) writes_->set_log(logging_ ? log_.get() : nullptr);
}

VhostMemory::Writes::Writes(GuestMemory& memory)
    : memory_(memory), index_(memory.watch().add(*this)) {}

VhostMemory::Writes::~Writes() { memory_.watch().remove(*this); }

void VhostMemory::Writes::set_log(const VhostLog* log) {
    {
        MutexLock hold(mutex_);
        log_ = log;
    }
    const bool watch = log != nullptr;
    if (watch == watched_) return;
    watched_ = watch;
    memory_.watch().watch_everywhere(watch, index_);
}

void VhostMemory::Writes::written(uint64_t page, unsigned begin, unsigned end) {
    uint64_t offset = page * kPageSize;
    for (const GuestMemory::Range& range : memory_.ranges()) {
        if (offset >= range.size) {
            offset -= range.size;
            continue;
        }
        MutexLock hold(mutex_);
        if (log_ != nullptr) log_->mark(range.start + offset + begin, end - begin);
        return;
    }
}

}  // namespace mynah
