#include "firmware/pc_dsdt.h"

#include <fmt/core.h>

#include <array>

namespace mynah {
namespace {

using aml::Bytes;

constexpr unsigned kPirqs = 8, kDevices = 32, kPins = 4;
constexpr unsigned kPciBridge = 30;  // the ICH9's, which the board does not have
// Names of the LPC bridge's routing registers, and of the link devices that set them.
std::string register_name(unsigned pirq) { return fmt::format("PRQ{:c}", 'A' + pirq); }
std::string link_name(unsigned pirq) { return fmt::format("LNK{:c}", 'A' + pirq); }

Bytes append_all(const std::vector<Bytes>& terms) {
    Bytes out;
    for (const Bytes& term : terms) out.insert(out.end(), term.begin(), term.end());
    return out;
}

Bytes variable_package(const std::vector<Bytes>& elements) { return aml::package(elements); }

// One entry for each device and pin [ACPI 6.2.13]: an interrupt of its own, or a link device.
Bytes routing_table(const AcpiBoard::Pci& pci, bool apic) {
    std::vector<Bytes> entries;
    for (unsigned device = 1; device < kDevices; ++device) {
        if (device == kPciBridge) continue;
        for (unsigned pin = 1; pin <= kPins; ++pin) {
            const unsigned pirq = pci.pirq(device, pin);
            const std::array<Bytes, 4> entry{
                aml::integer(device << 16 | 0xffff), aml::integer(pin - 1),
                apic ? aml::integer(0) : aml::reference(link_name(pirq)),
                aml::integer(apic ? pci.first_pirq_gsi + pirq : 0)};
            entries.push_back(aml::package(entry));
        }
    }
    return variable_package(entries);
}

Bytes routing(const AcpiBoard::Pci& pci) {
    return aml::concat(
        {aml::name("PRTA", routing_table(pci, true)), aml::name("PRTP", routing_table(pci, false)),
         aml::method("_PRT", 0,
                     aml::concat({aml::if_then(aml::reference("\\PICF"),
                                               aml::return_value(aml::reference("PRTA"))),
                                  aml::return_value(aml::reference("PRTP"))}))});
}

Bytes windows(const AcpiBoard::Pci& pci) {
    constexpr uint16_t kConfigPorts = 0xcf8, kConfigPortsEnd = 0xd00;
    std::vector<Bytes> out{aml::bus_numbers(0, 0xff), aml::io_ports(kConfigPorts, 8),
                           aml::io_window(0, kConfigPorts - 1),
                           aml::io_window(kConfigPortsEnd, pci.last_port),
                           aml::memory32_window(0xa0000, 0xbffff)};
    for (const auto& window : pci.windows32)
        out.push_back(aml::memory32_window(static_cast<uint32_t>(window.first),
                                           static_cast<uint32_t>(window.last)));
    if (pci.window64) out.push_back(aml::memory64_window(pci.window64->first, pci.window64->last));
    return aml::name("_CRS", aml::resource_template(append_all(out)));
}

// Which of PCI Express' features the operating system may run itself [PCI FW 4.5.1]: hot plug of
// the root ports, power management events, errors, and the capability; there is no SHPC.
Bytes capabilities_method() {
    constexpr uint64_t kGranted = 0x1d, kUnknownUuid = 0x04, kUnknownRevision = 0x08,
                       kMasked = 0x10;
    const Bytes status = aml::reference("CDW1"), control = aml::reference("CDW3");
    const Bytes granted = aml::local(0);
    const Bytes known =
        aml::concat({aml::dword_field_of(aml::argument(3), 8, "CDW3"), aml::store(control, granted),
                     aml::bit_and(granted, aml::integer(kGranted), granted),
                     aml::if_then(aml::not_equal(aml::argument(1), aml::integer(1)),
                                  aml::bit_or(status, aml::integer(kUnknownRevision), status)),
                     aml::if_then(aml::not_equal(control, granted),
                                  aml::bit_or(status, aml::integer(kMasked), status)),
                     aml::store(granted, control)});
    return aml::method(
        "_OSC", 4,
        aml::concat({aml::dword_field_of(aml::argument(3), 0, "CDW1"),
                     aml::if_then(aml::equal(aml::argument(0),
                                             aml::uuid("33DB4D5B-1FF7-401C-9657-7441C03DD766")),
                                  known),
                     aml::otherwise(aml::bit_or(status, aml::integer(kUnknownUuid), status)),
                     aml::return_value(aml::argument(3))}));
}

Bytes lpc_bridge(const Bytes& isa_devices) {
    std::array<std::string, kPirqs> names;
    std::vector<aml::FieldUnit> units;
    for (unsigned i = 0; i < kPirqs; ++i) names[i] = register_name(i);
    for (unsigned i = 0; i < kPirqs; ++i) {
        if (i == 4) units.push_back({"", 32});  // 64h to 67h
        units.push_back({names[i], 8});
    }
    return aml::device("LPC", aml::concat({aml::name("_ADR", aml::integer(0x001f0000)),
                                           aml::region("PIRQ", aml::Space::kPciConfig, 0x60, 0x0c),
                                           aml::byte_fields("PIRQ", units), isa_devices}));
}

// A PIRQ as the 8259s get it, for systems that do not use the I/O APIC [ACPI 6.2.13].
Bytes link_device(unsigned pirq) {
    constexpr std::array<uint32_t, 7> kChoices{3, 4, 5, 7, 10, 11, 12};
    constexpr uint64_t kNotRouted = 0x80, kIrq = 0x0f, kEnabled = 0x0b, kDisabled = 0x09;
    constexpr unsigned kInterruptOffset = 5;  // of the number in the descriptor
    const Bytes reg = aml::reference("\\_SB.PCI0.LPC." + register_name(pirq));
    const uint32_t none = 0;
    const Bytes current =
        aml::concat({aml::dword_field_of(aml::reference("BUFF"), kInterruptOffset, "IRQN"),
                     aml::store(aml::bit_and(reg, aml::integer(kIrq)), aml::reference("IRQN")),
                     aml::return_value(aml::reference("BUFF"))});
    const Bytes set = aml::concat({aml::dword_field_of(aml::argument(0), kInterruptOffset, "IRQN"),
                                   aml::store(aml::reference("IRQN"), reg)});
    return aml::device(
        link_name(pirq),
        aml::concat(
            {aml::name("_HID", aml::eisa_id("PNP0C0F")), aml::name("_UID", aml::integer(pirq)),
             aml::name("_PRS", aml::resource_template(aml::level_interrupts(kChoices))),
             aml::name("BUFF", aml::resource_template(aml::level_interrupts(std::span(&none, 1)))),
             aml::method("_STA", 0,
                         aml::concat({aml::if_then(aml::bit_and(reg, aml::integer(kNotRouted)),
                                                   aml::return_value(aml::integer(kDisabled))),
                                      aml::return_value(aml::integer(kEnabled))})),
             aml::method("_DIS", 0, aml::bit_or(reg, aml::integer(kNotRouted), reg)),
             aml::method("_CRS", 0, current), aml::method("_SRS", 1, set)}));
}

// What no device of its own claims.
Bytes mainboard(const AcpiBoard& board) {
    std::vector<Bytes> used{
        aml::io_ports(0x80, 1), aml::io_ports(0x92, 1), aml::io_ports(0xb2, 2),
        aml::io_ports(board.pm1_event_port, static_cast<uint8_t>(board.pm_ports))};
    if (board.pci->ecam_base != 0)
        used.push_back(
            aml::memory32_fixed(static_cast<uint32_t>(board.pci->ecam_base), 256u << 20));
    return aml::device(
        "MBRD",
        aml::concat({aml::name("_HID", aml::eisa_id("PNP0C02")), aml::name("_UID", aml::integer(1)),
                     aml::name("_CRS", aml::resource_template(append_all(used)))}));
}

}  // namespace

aml::Bytes make_pci_devices(const AcpiBoard& board, const aml::Bytes& isa_devices) {
    const AcpiBoard::Pci& pci = *board.pci;
    std::vector<Bytes> terms;
    for (unsigned pirq = 0; pirq < kPirqs; ++pirq) terms.push_back(link_device(pirq));
    terms.push_back(aml::device(
        "PCI0",
        aml::concat({aml::name("_HID", aml::eisa_id("PNP0A08")),
                     aml::name("_CID", aml::eisa_id("PNP0A03")), aml::name("_ADR", aml::integer(0)),
                     aml::name("_UID", aml::integer(0)), aml::name("_BBN", aml::integer(0)),
                     aml::name("_SEG", aml::integer(0)), windows(pci), capabilities_method(),
                     routing(pci), lpc_bridge(isa_devices)})));
    terms.push_back(mainboard(board));
    return append_all(terms);
}

aml::Bytes make_pci_root_objects() {
    return aml::concat(
        {aml::name("\\PICF", aml::integer(0)),
         aml::method("\\_PIC", 1, aml::store(aml::argument(0), aml::reference("\\PICF")))});
}

}  // namespace mynah
