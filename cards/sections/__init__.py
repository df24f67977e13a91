"""What each section of a card says: values for its template, each with its form."""
