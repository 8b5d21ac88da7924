#include "engine/kvm/kvm_machine.h"

#include <fmt/core.h>
#include <linux/kvm.h>
#include <sys/mman.h>

#include <cstring>
#include <iterator>

#include "spec/kvm/paravirt.h"
#include "spec/x86/msr.h"

namespace mynah::kvm {
namespace {

// Where VMX without unrestricted guests keeps a task state and a page table of its own: between
// the local APIC and the firmware's flash, where nothing else is.
constexpr uint64_t kIdentityMap = 0xfeffc000, kTaskState = 0xfeffd000;
constexpr uint64_t kLocalApic = 0xfee00000;

struct Needed {
    long capability;
    const char* name;
};
constexpr Needed kNeeded[] = {{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
                              {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
                              {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
                              {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
                              {KVM_CAP_XCRS, "KVM_CAP_XCRS"},
                              {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
                              {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
                              {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
                              {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"}};

bool takes_tsc_offset(const Handle& vcpu) {
    kvm_device_attr attribute{};
    attribute.group = KVM_VCPU_TSC_CTRL;
    attribute.attr = KVM_VCPU_TSC_OFFSET;
    return vcpu.ask(KVM_HAS_DEVICE_ATTR, &attribute) == 0;
}

}  // namespace

Result<std::unique_ptr<KvmMachine>> KvmMachine::create(GuestMemory& memory,
                                                       const CpuidPolicy& cpuid,
                                                       const KvmOptions& options,
                                                       SystemCalls& calls) {
    std::unique_ptr<KvmMachine> machine(new KvmMachine(memory, cpuid));
    machine->device_ = TRY(open_device(calls));
    TRY(machine->check_extensions());
    TRY(machine->set_up(options));
    const int most = extension(machine->vm_, KVM_CAP_MAX_VCPUS);
    const uint32_t vcpus = cpuid.topology().vcpus();
    if (most > 0 && vcpus > static_cast<uint32_t>(most)) {
        return Error(fmt::format("--vcpus: KVM of this host has at most {} processors a machine, "
                                 "not {}",
                                 most, vcpus));
    }
    for (uint32_t i = 0; i < vcpus; ++i) TRY(machine->add_seat(VcpuIndex(i)));
    return machine;
}

KvmMachine::~KvmMachine() {
    for (const Seat& seat : seats_) {
        if (seat.run != nullptr) seat.vcpu.calls().munmap(seat.run, run_bytes_);
    }
}

Result<void> KvmMachine::add_seat(VcpuIndex index) {
    const uint32_t apic_id = cpuid_.apic_id(index.value);
    Seat& seat = seats_.emplace_back();
    const int fd =
        TRY(vm_.request("KVM_CREATE_VCPU", KVM_CREATE_VCPU, static_cast<uintptr_t>(apic_id)));
    seat.vcpu = Handle(device_.calls(), fd);
    int error = 0;
    seat.run = static_cast<kvm_run*>(device_.calls().mmap(
        run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, seat.vcpu.fd(), 0, error));
    if (seat.run == nullptr) return Error(fmt::format("kvm_run: {}", std::strerror(-error)));
    const PossibleParts parts{.kernel_apics = interrupts_.has_value(),
                              .tsc_offset = takes_tsc_offset(seat.vcpu)};
    CpuidTaken taken = TRY(set_cpuid(device_, seat.vcpu, cpuid_, apic_id, parts));
    lacking_ = std::move(taken.lacking);
    paravirt_features_ = taken.paravirt;
    // Of its paravirtual interface what CPUID says, and no more. A kernel that cannot be told so
    // only gives more than was promised.
    kvm_enable_cap enforce{};
    enforce.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
    enforce.args[0] = 1;
    (void)seat.vcpu.ask(KVM_ENABLE_CAP, &enforce);
    kvm_sregs& special = seat.registers.special;
    TRY(seat.vcpu.request("KVM_GET_SREGS", KVM_GET_SREGS, &special));
    special.apic_base = kLocalApic | x86::msr::kApicBaseEnable |
                        (index.value == 0 ? x86::msr::kApicBaseBsp : 0);
    kvm_vcpu_events& events = seat.registers.events;
    TRY(seat.vcpu.request("KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, &events));
    if (has_smm_) events.flags |= KVM_VCPUEVENT_VALID_SMM;
    return {};
}

Result<void> KvmMachine::check_extensions() {
    for (const Needed& each : kNeeded) {
        if (extension(device_, each.capability) == 0) {
            return Error(fmt::format("/dev/kvm: the host's kernel does not have {}; expected Linux "
                                     "5.10 or later",
                                     each.name));
        }
    }
    return {};
}

Result<void> KvmMachine::set_up(const KvmOptions& options) {
    const int fd = TRY(device_.request("KVM_CREATE_VM", KVM_CREATE_VM, uintptr_t{0}));
    vm_ = Handle(device_.calls(), fd);
    run_bytes_ = static_cast<size_t>(
        TRY(device_.request("KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE, uintptr_t{0})));
    if (run_bytes_ < sizeof(kvm_run)) return Error("KVM_GET_VCPU_MMAP_SIZE: too small");
    uint64_t identity_map = kIdentityMap;
    // Processors that need neither do not know them.
    (void)vm_.ask(KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    (void)vm_.ask(KVM_SET_TSS_ADDR, kTaskState);
    has_smm_ = extension(vm_, KVM_CAP_X86_SMM) != 0 &&
               extension(vm_, KVM_CAP_MULTI_ADDRESS_SPACE) > 1;
    bells_.emplace(vm_);
    if (options.kernel_apics && Interrupts::turn_on(vm_)) interrupts_.emplace(vm_);
    TRY(filter_msrs());
    const int most = extension(vm_, KVM_CAP_NR_MEMSLOTS);
    MutexLock lock(mutex_);
    slots_ = std::make_unique<MemorySlots>(vm_, memory_, has_smm_ ? 2 : 1,
                                           most > 0 ? static_cast<unsigned>(most) : 32);
    return slots_->follow();
}

// KVM keeps the registers that the guest's code runs with; all others are the machine's, as with
// its other engines (msr_table.h), and so are writes that move the time stamp.
Result<void> KvmMachine::filter_msrs() {
    namespace msr = x86::msr;
    struct Kept {
        uint32_t first, last;
        uint32_t directions;
    };
    constexpr uint32_t kBoth = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
    constexpr Kept kKept[] = {{msr::kTsc, msr::kTsc, KVM_MSR_FILTER_READ},
                              {msr::kSpecCtrl, msr::kPredCmd, kBoth},
                              {msr::kSysenterCs, msr::kSysenterEip, kBoth},
                              {msr::kPat, msr::kPat, kBoth},
                              {msr::kEfer, msr::kFmask, kBoth},
                              {msr::kFsBase, msr::kTscAux, kBoth}};
    // Those of local APICs that are the kernel's; x2APIC registers are so without being named.
    constexpr Kept kApics[] = {{msr::kApicBase, msr::kApicBase, kBoth},
                               {msr::kTscDeadline, msr::kTscDeadline, kBoth}};
    namespace kvm_msr = kvm_guest::msr;
    constexpr Kept kParavirt[] = {{kvm_msr::kStealTime, kvm_msr::kPvEoi, kBoth}};
    uint8_t all = 0xff;  // no range is longer than eight registers
    kvm_msr_filter filter{};
    filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
    static_assert(std::size(kKept) + std::size(kApics) + std::size(kParavirt) <=
                  KVM_MSR_FILTER_MAX_RANGES);
    size_t count = 0;
    const auto keep = [&](const Kept& kept) {
        filter.ranges[count++] = {.flags = kept.directions,
                                  .nmsrs = kept.last - kept.first + 1,
                                  .base = kept.first,
                                  .bitmap = &all};
    };
    for (const Kept& kept : kKept) keep(kept);
    for (const Kept& kept : kApics) {
        if (interrupts_) keep(kept);
    }
    for (const Kept& kept : kParavirt) {
        if (presents_kvm(cpuid_)) keep(kept);
    }
    kvm_enable_cap exits{};
    exits.cap = KVM_CAP_X86_USER_SPACE_MSR;
    exits.args[0] =
        KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
    TRY(vm_.request("KVM_ENABLE_CAP (KVM_CAP_X86_USER_SPACE_MSR)", KVM_ENABLE_CAP, &exits));
    TRY(vm_.request("KVM_X86_SET_MSR_FILTER", KVM_X86_SET_MSR_FILTER, &filter));
    return {};
}

std::map<std::string, uint64_t> KvmMachine::uses() const {
    std::map<std::string, uint64_t> uses{{"ioeventfds", bells_->count()}};
    uses["local APICs in the kernel"] = interrupts_ ? seats_.size() : 0;
    uses["irqfds"] = interrupts_ ? interrupts_->eventfds() : 0;
    uses["irqfds: signals"] = interrupts_ ? interrupts_->signals() : 0;
    return uses;
}

void KvmMachine::harvest() {
    MutexLock lock(mutex_);
    slots_->harvest();
}

Result<void> KvmMachine::follow_memory() {
    MutexLock lock(mutex_);
    return slots_->follow();
}

}  // namespace mynah::kvm
