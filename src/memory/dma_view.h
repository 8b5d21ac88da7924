#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "memory/address.h"
#include "memory/dma_translation.h"
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
    // share it; it must outlive them. translation: null if addresses are the memory's own.
    DmaView(GuestMemory& memory, const std::atomic<bool>& allowed,
            const DmaTranslation* translation = nullptr)
        : memory_(&memory), allowed_(&allowed), translation_(translation) {}
    DmaView(GuestMemory& memory, const DmaTranslation& translation)
        : memory_(&memory), translation_(&translation) {}

    // What a driver writes are addresses of an IOMMU's, not the memory's.
    bool translated() const { return translation_ != nullptr; }

    // True if every byte is RAM; a range that wraps around is not. Size 0 is.
    [[nodiscard]] bool contains(GuestPhys start, uint64_t size, DmaUse use = DmaUse::kRead) const;

    // Copies; false, with nothing copied, if any byte is not RAM.
    [[nodiscard]] bool read(GuestPhys from, std::span<std::byte> to) const;
    [[nodiscard]] bool write(GuestPhys to, std::span<const std::byte> from) const;

    // Appends [start, start+size) to the list; false, with nothing appended, if any byte is not
    // RAM. The slices stay valid until the request they serve is completed. Who writes to them
    // calls wrote() afterwards. use: of all that was given out, whatever becomes of it later.
    [[nodiscard]] bool slices(GuestPhys start, uint64_t size, SliceList& to,
                              DmaUse use = DmaUse::kAny) const;
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
        T* place = naturally_aligned<T>(from, DmaUse::kRead);
        if (place == nullptr) return std::nullopt;
        return __atomic_load_n(place, __ATOMIC_ACQUIRE);
    }
    template <typename T>
    [[nodiscard]] bool store_release(GuestPhys to, T value) const {
        T* place = naturally_aligned<T>(to, DmaUse::kWrite);
        if (place == nullptr) return false;
        __atomic_store_n(place, value, __ATOMIC_RELEASE);
        memory_->watch().wrote(place, sizeof(T));
        return true;
    }

    // Replaces it in one step; what was there.
    template <typename T>
    [[nodiscard]] std::optional<T> exchange(GuestPhys at, T value) const {
        T* place = naturally_aligned<T>(at, DmaUse::kAny);
        if (place == nullptr) return std::nullopt;
        const T before = __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL);
        memory_->watch().wrote(place, sizeof(T));
        return before;
    }

  private:
    template <typename T>
    T* naturally_aligned(GuestPhys address, DmaUse use) const {
        static_assert(std::is_integral_v<T>);
        if (address.value % sizeof(T) != 0 || !allowed()) return nullptr;
        const auto run = find(address, sizeof(T), use);
        if (!run || run->size != sizeof(T) || !run->writable) return nullptr;
        return reinterpret_cast<T*>(run->host);
    }
    bool allowed() const {
        return allowed_ == nullptr || allowed_->load(std::memory_order_acquire);
    }
    // size: not 0.
    std::optional<GuestMemory::Run> find(GuestPhys address, uint64_t size, DmaUse use) const {
        if (translation_ == nullptr) return memory_->find(address, size);
        const auto run = translation_->translate(address, size, use);
        if (!run) return std::nullopt;
        return memory_->find(run->start, run->size);
    }
    template <typename Visit>
    bool for_each_run(GuestPhys start, uint64_t size, DmaUse use, Visit&& visit) const;

    GuestMemory* memory_;
    const std::atomic<bool>* allowed_ = nullptr;
    const DmaTranslation* translation_ = nullptr;
};

}  // namespace mynah
