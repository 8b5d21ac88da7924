#include "paravirt/kvm/pv_clock.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "paravirt/kvm/versioned_write.h"
#include "spec/kvm/paravirt.h"

namespace mynah {
namespace {

namespace guest = kvm_guest;

using Wide = unsigned __int128;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

// The multiplier has its highest bit set, so that nothing of its 32 bits is given away. Rounded
// down, as Linux computes the TSC's frequency back from it and cuts off in turn.
TscScale TscScale::of(uint64_t tsc_hz) {
    CHECK(tsc_hz >= 1000 && tsc_hz < uint64_t{1} << 40);
    constexpr uint64_t kTooLarge = uint64_t{1} << 32;
    // The least shift that makes the multiplier fit: 10^9 * 2^(32 - shift) / hz < 2^32.
    for (int shift = -31; shift <= 31; ++shift) {
        const Wide mul = (Wide{kNsPerSecond} << (32 - shift)) / tsc_hz;
        if (mul < kTooLarge) return {static_cast<uint32_t>(mul), static_cast<int8_t>(shift)};
    }
    CHECK(false);
    return {};
}

uint64_t TscScale::ns(uint64_t ticks) const {
    const uint64_t shifted = shift < 0 ? ticks >> -shift : ticks << shift;
    return static_cast<uint64_t>(Wide{shifted} * mul >> 32);
}

PvClock::PvClock(DmaView memory, KvmHost& host, uint64_t tsc_hz, uint32_t vcpus)
    : memory_(memory), host_(host), scale_(TscScale::of(tsc_hz)), vcpus_(vcpus) {}

void PvClock::reset(uint64_t tsc_offset) {
    MutexLock lock(mutex_);
    base_ = host_.now();
    wall_clock_ = GuestPhys(0);
    for (Told& told : vcpus_) told = {.where = std::nullopt, .tsc_offset = tsc_offset};
}

void PvClock::place(VcpuIndex vcpu, std::optional<GuestPhys> where) {
    MutexLock lock(mutex_);
    Told& told = vcpus_[vcpu.value];
    told.where = where;
    write(told, false);
}

void PvClock::tsc_moved(VcpuIndex vcpu, uint64_t tsc_offset) {
    MutexLock lock(mutex_);
    Told& told = vcpus_[vcpu.value];
    if (told.tsc_offset == tsc_offset) return;
    const bool before = stable();
    told.tsc_offset = tsc_offset;
    if (stable() == before) {
        write(told, false);
    } else {
        write_all(false);
    }
}

void PvClock::stopped() {
    MutexLock lock(mutex_);
    write_all(true);
}

bool PvClock::stable() const {
    const uint64_t first = vcpus_.front().tsc_offset;
    return std::ranges::all_of(vcpus_, [&](const Told& told) { return told.tsc_offset == first; });
}

void PvClock::write_all(bool was_stopped) {
    for (const Told& told : vcpus_) write(told, was_stopped);
}

// Where no memory is, nothing is told: such a guest has itself to blame.
void PvClock::write(const Told& told, bool was_stopped) {
    if (!told.where) return;
    const GuestPhys where = *told.where;
    const auto before = memory_.load<guest::SystemTime>(where);
    if (!before) return;
    // A flag that the guest has not seen yet stays.
    const uint8_t stopped =
        was_stopped ? guest::kGuestStopped : before->flags & guest::kGuestStopped;
    guest::SystemTime now{};
    now.tsc_timestamp = base_.tsc + told.tsc_offset;
    now.system_time = base_.ns;
    now.tsc_to_system_mul = scale_.mul;
    now.tsc_shift = scale_.shift;
    now.flags = static_cast<uint8_t>(stopped | (stable() ? guest::kTscStable : 0));
    write_versioned(memory_, where, [&] {
        constexpr size_t kBehindVersion = offsetof(guest::SystemTime, pad0);
        const auto bytes = std::as_bytes(std::span(&now, 1)).subspan(kBehindVersion);
        (void)memory_.write(where + kBehindVersion, bytes);
    });
}

GuestPhys PvClock::wall_clock() {
    MutexLock lock(mutex_);
    return wall_clock_;
}

void PvClock::write_wall_clock(GuestPhys where) {
    MutexLock lock(mutex_);
    wall_clock_ = where;
    const uint64_t zero = host_.wall_ns() - host_.now().ns;
    const guest::WallClock clock{.version = 0,
                                 .sec = static_cast<uint32_t>(zero / kNsPerSecond),
                                 .nsec = static_cast<uint32_t>(zero % kNsPerSecond)};
    write_versioned(memory_, where, [&] {
        constexpr size_t kBehindVersion = offsetof(guest::WallClock, sec);
        const auto bytes = std::as_bytes(std::span(&clock, 1)).subspan(kBehindVersion);
        (void)memory_.write(where + kBehindVersion, bytes);
    });
}

PvClock::Pairing PvClock::pair(VcpuIndex vcpu) {
    MutexLock lock(mutex_);
    const uint64_t unix_ns = host_.wall_ns();
    return {.unix_ns = unix_ns, .tsc = host_.now().tsc + vcpus_[vcpu.value].tsc_offset};
}

}  // namespace mynah
