#include "paravirt/virtio/iommu/iommu_domains.h"

#include <algorithm>
#include <mutex>

#include "base/check.h"

namespace mynah {

using namespace virtio::iommu;

class IommuDomains::Endpoint final : public DmaTranslation {
  public:
    Endpoint(const IommuDomains& owner, uint32_t given) : number(given), owner_(owner) {}
    std::optional<Run> translate(GuestPhys address, uint64_t size, DmaUse use) const override {
        return owner_.translate(*this, address.value, size, use);
    }

    const uint32_t number;
    std::optional<uint32_t> domain_number;
    Domain* domain = nullptr;  // null: in none

  private:
    const IommuDomains& owner_;
};

IommuDomains::IommuDomains() = default;
IommuDomains::~IommuDomains() = default;

const DmaTranslation& IommuDomains::add_endpoint(uint32_t number) {
    const std::unique_lock hold(lock_);
    auto& place = endpoints_[number];
    CHECK(place == nullptr);
    place = std::make_unique<Endpoint>(*this, number);
    return *place;
}

bool IommuDomains::has_endpoint(uint32_t number) const {
    const std::shared_lock hold(lock_);
    return endpoints_.contains(number);
}

void IommuDomains::on_fault(FaultSink sink) {
    const std::unique_lock hold(lock_);
    fault_ = std::move(sink);
}

void IommuDomains::set_bypass(bool on) {
    const std::unique_lock hold(lock_);
    bypass_ = on;
}

bool IommuDomains::bypass() const {
    const std::shared_lock hold(lock_);
    return bypass_;
}

size_t IommuDomains::mappings() const {
    const std::shared_lock hold(lock_);
    return mappings_;
}

IommuDomains::Domain* IommuDomains::find(uint32_t domain) {
    const auto found = domains_.find(domain);
    return found == domains_.end() ? nullptr : &found->second;
}

// A domain that the last endpoint leaves is gone, with its mappings [virtio-1.2 5.13.6.4].
void IommuDomains::leave(Endpoint& endpoint) {
    if (endpoint.domain == nullptr) return;
    if (--endpoint.domain->endpoints == 0) {
        mappings_ -= endpoint.domain->mappings.size();
        domains_.erase(*endpoint.domain_number);
    }
    endpoint.domain = nullptr;
    endpoint.domain_number.reset();
}

Status IommuDomains::attach(uint32_t domain, uint32_t endpoint, bool bypass) {
    const std::unique_lock hold(lock_);
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end()) return kNoEntry;
    if (const Domain* there = find(domain); there != nullptr && there->bypass != bypass)
        return kInvalid;
    Endpoint& one = *found->second;
    if (one.domain_number == domain) return kOk;
    leave(one);
    // References into the table stay as it grows.
    Domain& joined = domains_[domain];
    joined.bypass = bypass;
    ++joined.endpoints;
    one.domain = &joined;
    one.domain_number = domain;
    return kOk;
}

Status IommuDomains::detach(uint32_t domain, uint32_t endpoint) {
    const std::unique_lock hold(lock_);
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end() || find(domain) == nullptr) return kNoEntry;
    if (found->second->domain_number != domain) return kInvalid;
    leave(*found->second);
    return kOk;
}

Status IommuDomains::map(uint32_t domain, uint64_t first, uint64_t last, uint64_t physical,
                         uint32_t flags) {
    const std::unique_lock hold(lock_);
    Domain* const into = find(domain);
    if (into == nullptr) return kNoEntry;
    if (into->bypass || (flags & ~(kMapRead | kMapWrite)) != 0 || last < first) return kInvalid;
    const uint64_t mask = kGranule - 1;
    if ((first & mask) != 0 || (last & mask) != mask || (physical & mask) != 0) return kRange;
    if (physical + (last - first) < physical) return kRange;
    if (first <= kMsiEnd && last >= kMsiStart) return kInvalid;  // told to be reserved
    // The first that ends here or beyond must begin beyond.
    auto next = into->mappings.upper_bound(last);
    if (next != into->mappings.begin() && std::prev(next)->second.last >= first) return kInvalid;
    if (mappings_ == kMappingsMost) return kNoMemory;
    into->mappings.emplace_hint(next, first, Mapping{last, physical, flags});
    ++mappings_;
    return kOk;
}

// What lies wholly within goes; nothing does if something sticks out [virtio-1.2 5.13.6.6].
Status IommuDomains::unmap(uint32_t domain, uint64_t first, uint64_t last) {
    const std::unique_lock hold(lock_);
    Domain* const from = find(domain);
    if (from == nullptr) return kNoEntry;
    if (from->bypass || last < first) return kInvalid;
    auto& mappings = from->mappings;
    const auto begin = mappings.lower_bound(first);
    const auto end = mappings.upper_bound(last);
    if (begin != mappings.begin() && std::prev(begin)->second.last >= first) return kRange;
    if (end != mappings.begin() && std::prev(end)->second.last > last) return kRange;
    const size_t before = mappings.size();
    mappings.erase(begin, end);
    mappings_ -= before - mappings.size();
    return kOk;
}

void IommuDomains::clear() {
    const std::unique_lock hold(lock_);
    for (auto& [number, endpoint] : endpoints_) {
        endpoint->domain = nullptr;
        endpoint->domain_number.reset();
    }
    domains_.clear();
    mappings_ = 0;
}

std::optional<DmaTranslation::Run> IommuDomains::translate(const Endpoint& endpoint,
                                                           uint64_t address, uint64_t size,
                                                           DmaUse use) const {
    const std::shared_lock hold(lock_);
    const Domain* const domain = endpoint.domain;
    const bool direct = domain == nullptr ? bypass_ : domain->bypass;
    if (direct) return DmaTranslation::Run{GuestPhys(address), size};
    Fault fault{};
    fault.reason = domain == nullptr ? kDomain : kMapping;
    if (domain != nullptr) {
        auto found = domain->mappings.upper_bound(address);
        if (found != domain->mappings.begin()) {
            --found;
            const auto& [first, mapping] = *found;
            const uint32_t wanted = use == DmaUse::kRead    ? kMapRead
                                    : use == DmaUse::kWrite ? kMapWrite
                                                            : kMapRead | kMapWrite;
            if (mapping.last >= address && (mapping.flags & wanted) != 0) {
                const uint64_t left = mapping.last - address;  // bytes after this one
                return DmaTranslation::Run{GuestPhys(mapping.physical + (address - first)),
                                           left < size - 1 ? left + 1 : size};
            }
        }
    }
    fault.flags = kFaultAddress | (use == DmaUse::kWrite ? kFaultWrite : kFaultRead);
    fault.endpoint = endpoint.number;
    fault.address = address;
    if (fault_) fault_(fault);
    return std::nullopt;
}

}  // namespace mynah
