"""The events that shops are known to send: Segment's spec and what goes with it. Every vendor's table places each."""

SHOPPING = (
    *("Products Searched", "Product List Viewed", "Product List Filtered", "Promotion Viewed", "Promotion Clicked"),
    *("Product Clicked", "Product Viewed", "Product Added", "Product Removed", "Cart Viewed", "Cart Cleared"),
    *("Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"),
    *("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"),
    *("Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed"),
    *("Product Added to Wishlist", "Product Removed from Wishlist", "Wishlist Product Added to Cart"),
    *("Product Shared", "Cart Shared", "Product Reviewed"),
)
VISITING = (
    *("Home Page Viewed", "Page Viewed", "Screen Viewed", "Signed Up", "Signed In", "Signed Out", "Lead Submitted"),
    *("Application Installed", "Application Opened", "Application Updated", "Identify", "Group", "Alias"),
)
PLACES = ("Store Viewed", "Store Availability Checked", "Product Reserved", "Hotel Searched", "Travel Searched")
KNOWN_EVENTS = (*VISITING, *SHOPPING, *PLACES)
