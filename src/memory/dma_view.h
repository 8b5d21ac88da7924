#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "memory/address.h"
#include "memory/guest_memory.h"
#include "memory/slice_list.h"

namespace mynah {

// What a device sees of the guest's memory: RAM (slices() and writes: not what is read-only), by the
// addresses a driver hands it. Devices reach
// memory only through here, so that this is the one place where an IOMMU, dirty-page tracking
// or taking a device's memory away is put. An access may cross from one range into the next if the
// two touch. Any thread. Contents are shared with running processors: copy once, validate, use.
class DmaView {
  public:
    // The memory must outlive the view.
    explicit DmaView(GuestMemory& memory) : memory_(&memory) {}
    // Every access fails while `allowed` is false (a PCI function that is no bus master). Copies
    // share it; it must outlive them.
    DmaView(GuestMemory& memory, const std::atomic<bool>& allowed)
        : memory_(&memory), allowed_(&allowed) {}

    // True if every byte is RAM; a range that wraps around is not. Size 0 is.
    [[nodiscard]] bool contains(GuestPhys start, uint64_t size) const;

    // Copies; false, with nothing copied, if any byte is not RAM.
    [[nodiscard]] bool read(GuestPhys from, std::span<std::byte> to) const;
    [[nodiscard]] bool write(GuestPhys to, std::span<const std::byte> from) const;

    // Appends [start, start+size) to the list; false, with nothing appended, if any byte is not
    // RAM. The slices stay valid until the request they serve is completed. Who writes to them
    // calls wrote() afterwards.
    [[nodiscard]] bool slices(GuestPhys start, uint64_t size, SliceList& to) const;
    void wrote(const SliceList& to) const { memory_->watch().wrote(to.slices()); }

    template <typename T>
    [[nodiscard]] std::optional<T> load(GuestPhys from) const {
        T value;
        if (!read(from, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
        return value;
    }
    template <typename T>
    [[nodiscard]] bool store(GuestPhys to, const T& value) const {
        return write(to, std::as_bytes(std::span(&value, 1)));
    }

    // Single accesses, ordered against what processors do, for ring indices. T is an integer;
    // an address that is not a multiple of its size is answered like one that is not RAM.
    template <typename T>
    [[nodiscard]] std::optional<T> load_acquire(GuestPhys from) const {
        T* place = naturally_aligned<T>(from);
        if (place == nullptr) return std::nullopt;
        return __atomic_load_n(place, __ATOMIC_ACQUIRE);
    }
    template <typename T>
    [[nodiscard]] bool store_release(GuestPhys to, T value) const {
        T* place = naturally_aligned<T>(to);
        if (place == nullptr) return false;
        __atomic_store_n(place, value, __ATOMIC_RELEASE);
        memory_->watch().wrote(place, sizeof(T));
        return true;
    }

  private:
    template <typename T>
    T* naturally_aligned(GuestPhys address) const {
        static_assert(std::is_integral_v<T>);
        if (address.value % sizeof(T) != 0 || !allowed()) return nullptr;
        const auto run = memory_->find(address, sizeof(T));
        if (!run || run->size != sizeof(T) || !run->writable) return nullptr;
        return reinterpret_cast<T*>(run->host);
    }
    bool allowed() const {
        return allowed_ == nullptr || allowed_->load(std::memory_order_acquire);
    }
    template <typename Visit>
    bool for_each_run(GuestPhys start, uint64_t size, Visit&& visit) const;

    GuestMemory* memory_;
    const std::atomic<bool>* allowed_ = nullptr;
};

}  // namespace mynah
