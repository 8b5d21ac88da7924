#include "backend/vhost/vhost_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace mynah {

namespace {
constexpr uint64_t kBitsPerByte = 8;
}

Result<std::unique_ptr<VhostLog>> VhostLog::create(uint64_t end) {
    std::unique_ptr<VhostLog> log(new VhostLog);
    // Whole words, as back ends may count in those.
    const uint64_t bytes = align_up(end / kLogPage / kBitsPerByte + 1, sizeof(uint64_t));
    log->shared_ = TRY(SharedMemory::create("vhost-log", align_up(bytes, kPageSize)));
    log->bytes_ = log->shared_->bytes();
    return log;
}

Result<std::unique_ptr<VhostLog>> VhostLog::adopt(Fd fd, const vhost_user::LogArea& area) {
    constexpr uint64_t kMost = uint64_t{1} << 32;  // bytes: for 128 TiB of memory
    if (area.size > kMost) return Error("a log of writes that is larger than any");
    auto mapping = ForeignMapping::map(std::move(fd), area.offset, area.size);
    if (!mapping) return Error(fmt::format("a log of writes {}", mapping.error().message()));
    std::unique_ptr<VhostLog> log(new VhostLog);
    log->foreign_ = mapping.take_value();
    log->bytes_ = log->foreign_->bytes();
    return log;
}

void VhostLog::mark(GuestPhys start, uint64_t size) const {
    if (size == 0) return;
    const uint64_t pages = bytes_.size() * kBitsPerByte;
    const uint64_t last = std::min((start.value + size - 1) / kLogPage, pages - 1);
    for (uint64_t page = start.value / kLogPage; page <= last; ++page) {
        // Bytes, as the offset of the log need not be that of a word.
        auto* const place = reinterpret_cast<uint8_t*>(bytes_.data() + page / kBitsPerByte);
        const auto mark = static_cast<uint8_t>(1u << page % kBitsPerByte);
        __atomic_fetch_or(place, mark, __ATOMIC_RELEASE);
    }
}

void VhostLog::collect(const std::function<void(GuestPhys page)>& marked) const {
    for (uint64_t at = 0; at < bytes_.size(); ++at) {
        auto* const place = reinterpret_cast<uint8_t*>(bytes_.data() + at);
        if (__atomic_load_n(place, __ATOMIC_RELAXED) == 0) continue;
        unsigned marks = __atomic_exchange_n(place, uint8_t{0}, __ATOMIC_ACQUIRE);
        for (; marks != 0; marks &= marks - 1) {
            const auto page = at * kBitsPerByte + static_cast<unsigned>(std::countr_zero(marks));
            marked(GuestPhys{page * kLogPage});
        }
    }
}

}  // namespace mynah
