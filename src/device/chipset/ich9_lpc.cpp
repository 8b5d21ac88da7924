#include "device/chipset/ich9_lpc.h"

namespace mynah {
namespace {

constexpr PciIdentity kIdentity{.vendor = ich9::kVendor,
                                .device = ich9::kLpcDevice,
                                .class_code = ich9::kLpcClass,
                                .revision = ich9::kRevision,
                                .subsystem_vendor = 0x1af4,
                                .subsystem = 0x1100,
                                .interrupt_pin = 0};

// Puts a range where it belongs; 0: nowhere.
void move(IoSpace& space, uint64_t& from, uint64_t to, uint64_t size, IoHandler& handler) {
    if (from == to) return;
    from = to;
    if (to == 0) {
        space.withdraw(handler);
    } else {
        space.place(to, size, handler);
    }
}

// The device whose routing register has its first byte at `offset`; 0: none.
unsigned routed_device(uint64_t offset) {
    namespace rc = ich9::root_complex;
    switch (offset) {
        case rc::kDevice31Route:
            return 31;
        case rc::kDevice30Route:
            return 30;
        case rc::kDevice29Route:
            return 29;
        case rc::kDevice28Route:
            return 28;
        case rc::kDevice27Route:
            return 27;
        case rc::kDevice26Route:
            return 26;
        case rc::kDevice25Route:
            return 25;
        default:
            return 0;
    }
}

}  // namespace

Ich9Lpc::Ich9Lpc(const PciAttachment& attachment, Ich9PowerManagement& power, PirqRouter& router)
    : ports_(attachment.ports),
      memory_space_(attachment.memory_space),
      power_(power),
      router_(router),
      function_(attachment, kIdentity),
      root_complex_(router) {
    define_registers();
    function_.on_config_write([this](unsigned offset, unsigned size) { written(offset, size); });
}

Ich9Lpc::~Ich9Lpc() {
    move(ports_, pm_base_, 0, 0, power_);
    move(memory_space_, root_complex_base_, 0, 0, root_complex_);
}

void Ich9Lpc::define_registers() {
    PciFunction& f = function_;
    f.set_config(pci::kCommand, 2,
                 pci::command::kIo | pci::command::kMemory | pci::command::kBusMaster,
                 pci::command::kParityResponse | pci::command::kSerr);
    f.set_config(ich9::kPmBase, 4, ich9::kIoSpace, ich9::kPmBaseMask);
    f.set_config(ich9::kAcpiControl, 1, 0, ich9::kAcpiEnable | 7);
    f.set_config(ich9::kGpioBase, 4, ich9::kIoSpace, 0xff80);
    f.set_config(ich9::kGpioControl, 1, 0, 0x10);
    for (unsigned i = 0; i < 4; ++i) {
        f.set_config(ich9::kPirqA + i, 1, ich9::pirq::kNotRouted, ich9::pirq::kWritable);
        f.set_config(ich9::kPirqE + i, 1, ich9::pirq::kNotRouted, ich9::pirq::kWritable);
    }
    f.set_config(ich9::kSerialIrq, 1, 0x10, 0xfc);
    f.set_config(ich9::kIoDecode, 2, 0, 0x1377);
    f.set_config(ich9::kIoEnables, 2, 0, 0x3fff);
    for (unsigned i = 0; i < 4; ++i) f.set_config(ich9::kGenericDecode1 + 4 * i, 4, 0, 0x00fcfffd);
    f.set_config(ich9::kGenPmCon1, 2, 0, 0x07ff);
    f.set_config(ich9::kGenPmCon2, 1, 0, 0x30);
    f.set_config(ich9::kGenPmCon3, 2, 0, 0xd7f9);
    f.set_config(ich9::kGenPmConLock, 1, 0, 0x06);
    f.set_config(ich9::kGpioRouting, 4, 0, ~0u);
    f.set_config(ich9::kBiosControl, 1, 0, 0x1f);
    f.set_config(ich9::kRootComplexBase, 4, 0, ich9::kRootComplexMask | ich9::kRootComplexEnable);
}

void Ich9Lpc::written(unsigned offset, unsigned size) {
    if (offset < ich9::kGenPmCon2 && offset + size > ich9::kGenPmCon1 &&
        (function_.config_read(ich9::kGenPmCon1, 2) & ich9::kSmiLock) != 0) {
        function_.lock_config(ich9::kGenPmCon1, 2, 0x07ff & ~uint32_t{ich9::kSmiLock});
        power_.lock_smi();
    }
    update_.request([this] { apply(); });
}

void Ich9Lpc::apply() {
    const uint32_t pm_base = function_.config_read(ich9::kPmBase, 4) & ich9::kPmBaseMask;
    const bool acpi = (function_.config_read(ich9::kAcpiControl, 1) & ich9::kAcpiEnable) != 0;
    move(ports_, pm_base_, acpi ? pm_base : 0, ich9::pm::kBytes, power_);
    const uint32_t base = function_.config_read(ich9::kRootComplexBase, 4);
    const bool enabled = (base & ich9::kRootComplexEnable) != 0;
    move(memory_space_, root_complex_base_, enabled ? base & ich9::kRootComplexMask : 0,
         ich9::root_complex::kBytes, root_complex_);
    for (unsigned i = 0; i < 4; ++i) {
        router_.set_pic_route(i, static_cast<uint8_t>(function_.config_read(ich9::kPirqA + i, 1)));
        router_.set_pic_route(4 + i,
                              static_cast<uint8_t>(function_.config_read(ich9::kPirqE + i, 1)));
    }
}

void Ich9Lpc::reset() {
    function_.reset();
    router_.reset();
    update_.request([this] { apply(); });
}

uint64_t Ich9Lpc::RootComplex::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t at = offset + i;
        uint64_t byte = 0;
        if (const unsigned device = routed_device(at & ~uint64_t{1}); device != 0)
            byte = router_.device_route(device) >> (8 * (at & 1)) & 0xff;
        if (at == ich9::root_complex::kGeneralControl) byte = ich9::root_complex::kNoReboot;
        value |= byte << (8 * i);
    }
    return value;
}

void Ich9Lpc::RootComplex::write(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t at = offset + i;
        const unsigned device = routed_device(at & ~uint64_t{1});
        if (device == 0) continue;
        const unsigned shift = 8 * (at & 1);
        const uint32_t kept = router_.device_route(device) & ~(0xffu << shift);
        router_.set_device_route(device,
                                 static_cast<uint16_t>(kept | (value >> (8 * i) & 0x77) << shift));
    }
}

}  // namespace mynah
