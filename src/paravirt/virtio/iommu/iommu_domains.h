#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "memory/dma_translation.h"
#include "spec/virtio/iommu.h"

namespace mynah {

// Which addresses which devices may reach, and where they lead: endpoints, the domains they are
// attached to, and those domains' mappings [virtio-1.2 5.13.6]. Any thread; translations run side
// by side.
//
// A driver chooses how many mappings there are: at most kMappingsMost in all domains. A domain is
// there while an endpoint is attached to it, so there are no more of them than endpoints.
class IommuDomains {
  public:
    using Status = virtio::iommu::Status;
    static constexpr size_t kMappingsMost = 512 * 1024;
    static constexpr uint64_t kGranule = 4096;  // bytes
    // Writes here are interrupts, and do not come to the IOMMU [SDM 3 11.11.1].
    static constexpr uint64_t kMsiStart = 0xfee00000, kMsiEnd = 0xfeefffff;

    // A fault as an event of the device. On the faulting device's thread, with locks held: it may
    // only be put aside.
    using FaultSink = std::function<void(const virtio::iommu::Fault&)>;

    IommuDomains();
    ~IommuDomains();

    // The translation of a device, which lives as long as this. Each number once, while the machine
    // is built.
    const DmaTranslation& add_endpoint(uint32_t number);
    bool has_endpoint(uint32_t number) const;
    // Null: nobody any more.
    void on_fault(FaultSink sink);

    // Whether endpoints in no domain reach memory by its own addresses. True to begin with, as
    // firmware knows of no IOMMU.
    void set_bypass(bool on);
    bool bypass() const;

    Status attach(uint32_t domain, uint32_t endpoint, bool bypass);
    Status detach(uint32_t domain, uint32_t endpoint);
    // [first, last] leads to [physical, ...).
    Status map(uint32_t domain, uint64_t first, uint64_t last, uint64_t physical, uint32_t flags);
    Status unmap(uint32_t domain, uint64_t first, uint64_t last);
    // Every endpoint in no domain.
    void clear();
    size_t mappings() const;

  private:
    struct Mapping {
        uint64_t last;  // its first address is the key
        uint64_t physical;
        uint32_t flags;
    };
    struct Domain {
        bool bypass = false;
        unsigned endpoints = 0;
        std::map<uint64_t, Mapping> mappings;  // none over another
    };
    class Endpoint;

    void leave(Endpoint& endpoint);
    Domain* find(uint32_t domain);
    std::optional<DmaTranslation::Run> translate(const Endpoint& endpoint, uint64_t address,
                                                 uint64_t size, DmaUse use) const;

    // Held shared while something is looked up.
    mutable std::shared_mutex lock_;
    std::map<uint32_t, std::unique_ptr<Endpoint>> endpoints_;
    std::unordered_map<uint32_t, Domain> domains_;
    size_t mappings_ = 0;
    bool bypass_ = true;
    FaultSink fault_;
};

}  // namespace mynah
